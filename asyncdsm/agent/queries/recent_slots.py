"""How slow each edge was in the last minutes: by minute, and by ten seconds where minutes are not rolled up yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from asyncdsm.agent.queries.edge_numbers import EdgeNumbers
from asyncdsm.agent.queries.latency_changes import Slot
from asyncdsm.agent.store.histograms import EDGE, Ints, quantiles
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, RollUpVersion, TimeRange
from asyncdsm.map.levels import slowness_of

MINUTE = RESOLUTIONS[1]
MOST_MINUTES = 30
"""How many minutes are kept: those that a map needs, and some of the past."""
_SLOTS = 1 << 10
# More than there are slots of ten seconds in what is read.

SlotsOfEdges = dict[EdgeKey, list[Slot]]


class RecentSlots:
    """Reads slots from a store, and keeps whole minutes that are rolled up: every map needs them again."""

    _readers: ClassVar[WeakKeyDictionary[Store, RecentSlots]] = WeakKeyDictionary()

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, tuple[RollUpVersion, SlotsOfEdges]] = {}

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
            yield self._read_store(TimeRange(time_range.first, min(first, time_range.last)), BUCKET_SECONDS)
        for start in range(first, until, MINUTE):
            yield self._minute(start, versions.get(start))
        if until < time_range.last:
            yield self._read_store(TimeRange(until, time_range.last), MINUTE)

    def _minute(self, start: int, version: RollUpVersion | None) -> SlotsOfEdges:
        kept = self._kept.get(start)
        if kept is not None and kept[0] == version:
            return kept[1]
        slots = self._read_store(TimeRange(start, start + MINUTE), MINUTE)
        if version is not None:
            newest = sorted({**self._kept, start: (version, slots)}.items())[-MOST_MINUTES:]
            self._kept = dict(newest)
        return slots

    def _read_store(self, time_range: TimeRange, coarsest: int) -> SlotsOfEdges:
        edges, origin = EdgeNumbers(self._store), int(time_range.first) // MINUTE * MINUTE

        def label(rows: Rows) -> Ints:
            slots = np.clip((rows.starts - origin) // BUCKET_SECONDS, 0, _SLOTS - 1)
            numbers = edges.of_points(rows.points)
            return np.where(numbers >= 0, numbers * _SLOTS + slots, -1)

        labels, histograms = self._store.merge_rows(time_range, label, coarsest=coarsest, sketch=EDGE)
        latencies = quantiles(histograms, len(labels), EDGE)
        listed, found = list(edges.edges), SlotsOfEdges()
        for group in np.flatnonzero(latencies.counts).tolist():
            number = int(labels[group])
            p50, p99 = float(latencies.p50[group]), float(latencies.p99[group])
            slot = Slot(origin + number % _SLOTS * BUCKET_SECONDS, slowness_of(p50, p99), p50)
            found.setdefault(listed[number // _SLOTS], []).append(slot)
        return found
