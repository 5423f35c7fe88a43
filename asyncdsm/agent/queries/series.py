"""One edge over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.queries.clusters import clusters_of
from asyncdsm.agent.queries.figures import Figures
from asyncdsm.agent.queries.lag import current_lags
from asyncdsm.agent.queries.time_ranges import covered_seconds
from asyncdsm.agent.queries.topology import edge_shown, summed
from asyncdsm.agent.store.registry import edge_id
from asyncdsm.agent.store.resolutions import RESOLUTIONS, TimeRange
from asyncdsm.agent.store.store import Store


def series(store: Store, edge: str, span: TimeRange, step: int) -> dict[str, Any]:
    """Return what passed an edge, named by its id, in each step of a span. Raises IntakeError (404)."""
    keys = dict(store.points.keys)
    numbers = {number: key for number, key in keys.items() if edge_id(key.edge) == edge}
    if not numbers:
        raise IntakeError("edge", f"{edge[:40]!r} is no edge that is known here", 404)
    wanted = np.array(sorted(numbers), np.int64)
    key = next(iter(numbers.values()))
    labels, cells = store.merge_rows(
        span,
        lambda rows: np.where(np.isin(rows.points, wanted), rows.starts // step, -1),
        service=store.points.services.get((key.service, key.env), 0),
        coarsest=max(width for width in RESOLUTIONS if step % width == 0),
    )
    figures = Figures.of(cells, len(labels))
    total = float(figures.edge.counts.sum())
    cluster = clusters_of(list(keys.values()))[key.edge]
    lags = summed(current_lags(store, span))
    return {
        "edge": edge_shown(key.edge, cluster, total, covered_seconds(store, span), lags),
        "step": step,
        "points": [
            {
                "start": float(start * step),
                "count": float(figures.edge.counts[place]),
                "rate": float(figures.edge.counts[place]) / step,
                **figures.stats(place),
            }
            for place, start in enumerate(labels.tolist())
        ],
    }
