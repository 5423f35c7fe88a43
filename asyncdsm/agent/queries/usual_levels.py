"""What is usual: the latency and the rate of each edge in the same hour of the day before, or before the time range."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.histograms import EDGE, merge, quantiles
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.map.levels import slowness_of

MINUTE, HOUR, DAY = 60, 3_600, 86_400
_ALIGNMENT = 600
# Hours begin where rows of this many seconds begin, so that few rows have to be read.


class UsualLevel(NamedTuple):
    """What an edge is like usually: median, 99th percentile and slowness in seconds, and messages per second."""

    p50: float
    p99: float
    slowness: float
    rate: float


class UsualLevels(NamedTuple):
    """What the edges are like usually; `is_day_before` says whether that is of the same hour of the day before."""

    is_day_before: bool
    edges: dict[EdgeKey, UsualLevel]


def read_usual_levels(store: Store, first: float, end: float, oldest: float | None) -> UsualLevels:
    """Return what is usual for the time range [first, end).

    `oldest` is when the data of the store begin. Edges that nothing passed in the usual time are left out, and so are
    all of them if there is less than a minute to look at.
    """
    if oldest is None:
        return UsualLevels(is_day_before=False, edges={})
    middle = (end - DAY) // _ALIGNMENT * _ALIGNMENT
    same_hour = TimeRange(middle - HOUR / 2, middle + HOUR / 2)
    if oldest <= same_hour.first:
        return UsualLevels(is_day_before=True, edges=_read_levels(store, same_hour))
    before = TimeRange(max(oldest, first - max(end - first, HOUR)), first)
    is_long_enough = before.last - before.first >= MINUTE
    return UsualLevels(is_day_before=False, edges=_read_levels(store, before) if is_long_enough else {})


def _read_levels(store: Store, time_range: TimeRange) -> dict[EdgeKey, UsualLevel]:
    sums = store.sum_edges(time_range)
    numbers, group_of = np.unique(sums.labels >> 1, return_inverse=True)
    hops = sums.histograms.select_sketch(EDGE).relabel(group_of.reshape(-1).astype(np.int64))
    latencies, seconds = quantiles(merge(hops), len(numbers), EDGE), time_range.last - time_range.first
    return {
        sums.edges[numbers[group]]: _level(latencies.p50.item(group), latencies.p99.item(group), count / seconds)
        for group, count in enumerate(latencies.counts.tolist())
        if count
    }


def _level(p50: float, p99: float, rate: float) -> UsualLevel:
    return UsualLevel(p50, p99, slowness_of(p50, p99), rate)
