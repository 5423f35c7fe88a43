"""How slow each edge was in the last minutes: by minute, and by ten seconds where minutes are not rolled up yet."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import islice
from time import monotonic
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from asyncdsm.agent.queries.usual_slots import Slot
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.histograms import EDGE, merge, quantiles
from asyncdsm.agent.store.limits import DETAIL_SECONDS
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, RollUpVersion, TimeRange
from asyncdsm.map.levels import slowness_of

MINUTE, HOUR = RESOLUTIONS[1], RESOLUTIONS[3]
MOST_MINUTES, MOST_SLOTS = 90, 300_000
"""How many minutes are kept, and slots in all: those that a map needs, and some of the past."""
READING_SECONDS = 0.1
"""For how long minutes before a time range are read, by the clock."""
MOST_BUCKETS = 16
"""How many buckets of ten seconds are kept: those that are not rolled up yet."""

SlotsOfEdges = dict[EdgeKey, list[Slot]]
LimitsOfEdges = dict[EdgeKey, tuple[int, int]]
"""When the first bucket of each edge began, and the last one ended."""
KeptMinute = tuple[int, tuple[RollUpVersion, SlotsOfEdges]]


class RecentSlots:
    """Reads slots from a store, and keeps whole minutes that are rolled up: every map needs them again."""

    _readers: ClassVar[WeakKeyDictionary[Store, RecentSlots]] = WeakKeyDictionary()

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, tuple[RollUpVersion, SlotsOfEdges]] = {}
        self._kept_limits: dict[int, tuple[RollUpVersion | None, LimitsOfEdges]] = {}
        self._buckets_before: dict[int, tuple[Hashable, SlotsOfEdges]] = {}

    @classmethod
    def of(cls, store: Store) -> RecentSlots:
        """Return the reader of a store."""
        return cls._readers.setdefault(store, cls(store))

    def read_slots(
        self, time_range: TimeRange, minutes_before: int = 0, wanted: Iterable[EdgeKey] | None = None
    ) -> SlotsOfEdges:
        """Return the slots of each edge that anything passed in a time range, in the order of time; or those `wanted`.

        It begins with a whole minute. Of the minutes before, there are as many as are kept or can be read at once:
        with many edges, one call after the other reads them.
        """
        found: SlotsOfEdges = {}
        older = list(self._older(int(time_range.first), minutes_before))
        for slots in [*reversed(older), *self._parts(time_range)]:
            for edge in slots if wanted is None else wanted:
                if edge in slots:
                    found.setdefault(edge, []).extend(slots[edge])
        return found

    def read_ends(self, last_starts: Mapping[EdgeKey, int]) -> dict[EdgeKey, int]:
        """Return when the last bucket ended that has anything of each edge, given the start of its last slot.

        A slot may be a whole minute, in which the last bucket is looked up, in as many minutes as can be read at once:
        of the others, the end of the minute is told, so that no end is too early.
        """
        limits = self._read_limits(set(last_starts.values()))
        return {
            edge: limits.get(start, {}).get(edge, (0, start + (BUCKET_SECONDS if start % MINUTE else MINUTE)))[1]
            for edge, start in last_starts.items()
        }

    def read_begins(self, first_starts: Mapping[EdgeKey, int]) -> dict[EdgeKey, int]:
        """Return when the first bucket began that has anything of each edge, given the start of its first slot.

        Of a minute that cannot be read at once, its begin is told.
        """
        limits = self._read_limits(set(first_starts.values()))
        return {edge: limits.get(start, {}).get(edge, (start, 0))[0] for edge, start in first_starts.items()}

    def _read_limits(self, starts: Iterable[int]) -> dict[int, LimitsOfEdges]:
        """Return the limits in slots that may be whole minutes, in the newest of them that can be read at once."""
        until, limits = monotonic() + READING_SECONDS, dict[int, LimitsOfEdges]()
        for start in sorted(starts, reverse=True):
            if start % MINUTE == 0 and (not limits or monotonic() < until):
                limits[start] = self._limits_in_minute(start)
        return limits

    def _limits_in_minute(self, start: int) -> LimitsOfEdges:
        """Return the limits of each edge in a minute; those of the minute where buckets are not kept."""
        minute = TimeRange(start, start + MINUTE)
        version = self._store.roll_up_versions(minute, MINUTE).get(start)
        kept = self._kept_limits.get(start)
        if kept is not None and kept[0] == version is not None:
            return kept[1]
        is_detailed = start >= self._store.now() - DETAIL_SECONDS + HOUR
        limits = LimitsOfEdges()
        for begin, sums in sorted(self._store.sum_edges_by_start(minute, coarsest=BUCKET_SECONDS).items()):
            end = begin + BUCKET_SECONDS if is_detailed else start + MINUTE
            limits |= {edge: (limits.get(edge, (begin, end))[0], end) for edge in slots_of(begin, sums)}
        self._kept_limits = dict(sorted({**self._kept_limits, start: (version, limits)}.items())[-MOST_MINUTES:])
        return limits

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

    def _older(self, first: int, minutes: int) -> Iterator[SlotsOfEdges]:
        """Yield the slots of minutes before `first`, the newest minute first."""
        begin, until = first - minutes * MINUTE, monotonic() + READING_SECONDS
        versions = self._store.roll_up_versions(TimeRange(begin, first), MINUTE) if minutes else {}
        for start in sorted(versions, reverse=True):
            kept = self._kept.get(start)
            if (kept is None or kept[0] != versions[start]) and monotonic() > until:
                return
            yield self._minute(start, versions[start])

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
            self._kept = dict(_within_limits(sorted({**self._kept, start: (version, slots)}.items(), reverse=True)))
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


def _within_limits(minutes: Iterable[KeptMinute]) -> Iterator[KeptMinute]:
    """Yield the first minutes, as many as may be kept."""
    slots = 0
    for minute in islice(minutes, MOST_MINUTES):
        slots += len(minute[1][1])
        if slots > MOST_SLOTS:
            return
        yield minute


def slots_of(start: int, sums: EdgeSums) -> SlotsOfEdges:
    """Return the slot of each edge that anything passed, from what was counted from a start on."""
    numbers, group_of = np.unique(sums.labels >> 1, return_inverse=True)
    histograms = merge(sums.histograms.select_sketch(EDGE).relabel(group_of.reshape(-1).astype(np.int64)))
    latencies = quantiles(histograms, len(numbers), EDGE)
    columns = (numbers.tolist(), latencies.counts.tolist(), latencies.p50.tolist(), latencies.p99.tolist())
    return {
        sums.edges[number]: [Slot(start, slowness_of(p50, p99), p50, p99, count)]
        for number, count, p50, p99 in zip(*columns, strict=True)
        if count
    }
