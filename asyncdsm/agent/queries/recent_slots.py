"""How slow each edge was in the last minutes: by minute, and by ten seconds where minutes are not rolled up yet."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from asyncdsm.agent.queries.latency_changes import Slot
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.histograms import EDGE, merge, quantiles
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, RollUpVersion, TimeRange
from asyncdsm.map.levels import slowness_of

MINUTE = RESOLUTIONS[1]
MOST_MINUTES = 30
"""How many minutes are kept: those that a map needs, and some of the past."""
MOST_BUCKETS = 16
"""How many buckets of ten seconds are kept: those that are not rolled up yet."""

SlotsOfEdges = dict[EdgeKey, list[Slot]]


class RecentSlots:
    """Reads slots from a store, and keeps whole minutes that are rolled up: every map needs them again."""

    _readers: ClassVar[WeakKeyDictionary[Store, RecentSlots]] = WeakKeyDictionary()

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, tuple[RollUpVersion, SlotsOfEdges]] = {}
        self._buckets_before: dict[int, tuple[Hashable, SlotsOfEdges]] = {}

    @classmethod
    def of(cls, store: Store) -> RecentSlots:
        """Return the reader of a store."""
        return cls._readers.setdefault(store, cls(store))

    def read_slots(self, time_range: TimeRange) -> SlotsOfEdges:
        """Return the slots of each edge that anything passed in a time range, in the order of time."""
        found: SlotsOfEdges = {}
        for slots in self._parts(time_range):
            for edge, each in slots.items():
                found.setdefault(edge, []).extend(each)
        return found

    def _parts(self, time_range: TimeRange) -> Iterator[SlotsOfEdges]:
        first = -(int(time_range.first) // -MINUTE) * MINUTE
        last = int(min(time_range.last, self._store.now() + MINUTE)) // MINUTE * MINUTE
        versions = self._store.roll_up_versions(TimeRange(first, last), MINUTE) if first < last else {}
        until = max(versions) + MINUTE if versions else first
        if time_range.first < first:
            yield from self._buckets(TimeRange(time_range.first, min(first, time_range.last)), BUCKET_SECONDS)
        for start in range(first, until, MINUTE):
            yield self._minute(start, versions.get(start))
        if until < time_range.last:
            yield from self._buckets(TimeRange(until, time_range.last), MINUTE)

    def _minute(self, start: int, version: RollUpVersion | None) -> SlotsOfEdges:
        kept = self._kept.get(start)
        if kept is not None and kept[0] == version:
            return kept[1]
        slots = SlotsOfEdges()
        read = self._store.sum_edges_by_start(TimeRange(start, start + MINUTE), coarsest=MINUTE)
        for begin, sums in read.items():
            for edge, each in slots_of(begin, sums).items():
                slots.setdefault(edge, []).extend(each)
        if version is not None:
            newest = sorted({**self._kept, start: (version, slots)}.items())[-MOST_MINUTES:]
            self._kept = dict(newest)
        return slots

    def _buckets(self, time_range: TimeRange, coarsest: int) -> Iterator[SlotsOfEdges]:
        """Yield the slots of each start; they are computed again only if its sums have another version."""
        known = self._buckets_before
        found = {
            start: before if before and sums.version == before[0] is not None else (sums.version, slots_of(start, sums))
            for start, sums in self._store.sum_edges_by_start(time_range, coarsest=coarsest).items()
            for before in [known.get(start)]
        }
        self._buckets_before = dict([*{**known, **found}.items()][-MOST_BUCKETS:])
        yield from (slots for _, slots in found.values())


def slots_of(start: int, sums: EdgeSums) -> SlotsOfEdges:
    """Return the slot of each edge that anything passed, from what was counted from a start on."""
    numbers, group_of = np.unique(sums.labels >> 1, return_inverse=True)
    histograms = merge(sums.histograms.select_sketch(EDGE).relabel(group_of.reshape(-1).astype(np.int64)))
    latencies = quantiles(histograms, len(numbers), EDGE)
    columns = (numbers.tolist(), latencies.counts.tolist(), latencies.p50.tolist(), latencies.p99.tolist())
    return {
        sums.edges[number]: [Slot(start, slowness_of(p50, p99), p50)]
        for number, count, p50, p99 in zip(*columns, strict=True)
        if count
    }
