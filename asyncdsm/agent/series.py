"""One edge over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncdsm.agent.intake import IntakeError
from asyncdsm.agent.lag import lag_of
from asyncdsm.agent.levels import WIDTHS
from asyncdsm.agent.points import edge_id
from asyncdsm.agent.spans import covered_seconds
from asyncdsm.agent.stats import Figures
from asyncdsm.agent.store import Span, Store
from asyncdsm.agent.topology import edge_shown


def series(store: Store, edge: str, span: Span, step: int) -> dict[str, Any]:
    """Return what passed an edge, named by its id, in each step of a span. Raises IntakeError (404)."""
    numbers = {number: key for number, key in list(store.points.keys.items()) if edge_id(key.edge) == edge}
    if not numbers:
        raise IntakeError("edge", f"{edge[:40]!r} is no edge that is known here", 404)
    wanted = np.array(sorted(numbers), np.int64)
    key = next(iter(numbers.values())).edge
    labels, cells = store.merged(
        span,
        lambda rows: np.where(np.isin(rows.points, wanted), rows.starts // step, -1),
        service=store.points.services.get((key.service, key.env), 0),
        widest=max(width for width in WIDTHS if step % width == 0),
    )
    figures = Figures.of(cells, len(labels))
    total = float(figures.edge.counts.sum())
    return {
        "edge": edge_shown(key, total, covered_seconds(store, span), lag_of(store.backlogs())),
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
