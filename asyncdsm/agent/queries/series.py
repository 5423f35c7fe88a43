"""Answers how the rate, the latencies and the lag of one edge changed over time."""

from __future__ import annotations

import numpy as np

from asyncdsm.agent.queries.answers import Series, SeriesPoint
from asyncdsm.agent.queries.kafka_clusters import clusters_of
from asyncdsm.agent.queries.lag import current_lags
from asyncdsm.agent.queries.late_reports import read_delays
from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.agent.queries.quantiles import GroupQuantiles
from asyncdsm.agent.queries.time_ranges import covered_seconds, settled_until
from asyncdsm.agent.queries.topology import edge_traffic
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import edge_id
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, TimeRange


def edge_series(store: Store, edge: str, time_range: TimeRange, step: int) -> Series:
    """Return what passed an edge, given by its id, in each step of a time range. Raises ApiError (404)."""
    keys = dict(store.points.keys)
    numbers = {number: key for number, key in keys.items() if edge_id(key.edge) == edge}
    if not numbers:
        raise ApiError(404, "edge", f"edge must be the id of a known edge, got {edge[:40]!r}")
    wanted = np.array(sorted(numbers), np.int64)
    begins = np.array([number for number, each in numbers.items() if each.parent == 0], np.int64)
    key = next(iter(numbers.values()))
    labels, histograms = store.merge_rows(
        time_range,
        lambda rows: np.where(np.isin(rows.points, wanted), rows.starts // step * 2 + np.isin(rows.points, begins), -1),
        service=store.points.services.get((key.service, key.env), 0),
        coarsest=max(width for width in RESOLUTIONS if step % width == 0),
    )
    steps, group_of = np.unique(labels // 2, return_inverse=True)
    by_group = GroupQuantiles.of(histograms, len(steps), labels % 2 == 1, group_of.astype(np.int64))
    total = float(by_group.counts.sum())
    cluster = clusters_of(list(keys.values()))[key.edge]
    lags = current_lags(store, time_range).groups
    first = time_range.first // BUCKET_SECONDS * BUCKET_SECONDS
    settled = settled_until(time_range, store.now())
    settled += BUCKET_SECONDS - read_delays(store, settled).get((key.service, key.env), 0)
    return Series(
        edge=edge_traffic(key.edge, cluster, total, covered_seconds(store, time_range), lags),
        step=step,
        points=[
            _point(by_group, group, start * step, step, is_complete=first <= start * step <= settled - step)
            for group, start in enumerate(steps.tolist())
        ],
    )


def _point(by_group: GroupQuantiles, group: int, start: int, step: int, *, is_complete: bool) -> SeriesPoint:
    edge_latency, pathway_latency, payload_size = by_group.of_group(group)
    count = float(by_group.counts[group])
    return SeriesPoint(
        start=float(start),
        complete=is_complete,
        count=count,
        rate=count / step,
        edge_latency=edge_latency,
        pathway_latency=pathway_latency,
        payload_size=payload_size,
    )
