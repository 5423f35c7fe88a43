"""Reads sums by edge, and keeps them: what a period had is read once, and afterwards only what was added to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from threading import Lock
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from asyncdsm.agent.store.edge_sums import EdgeNumbering, EdgeSums, add_sums, sum_rows, sum_rows_by_start
from asyncdsm.agent.store.histograms import Histograms, concat
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.packed_histograms import unpack
from asyncdsm.agent.store.resolutions import RESOLUTIONS, RollUpVersion, Slice, plan_slices
from asyncdsm.agent.store.sqlite.segments import read_added_segments, read_roll_up_versions
from asyncdsm.agent.store.sqlite.state import Snapshot, StoreState
from asyncdsm.agent.store.sum_cache import KeptSum, SumCache
from asyncdsm.agent.store.write_buffer import Additions, WriteBuffer

MOST_BYTES = 96 << 20
"""How many bytes of sums are kept: those of 10,000 points over a day take 70 MB."""
MOST_NUMBERS = 400_000
"""How many edges and points are numbered: twice as many points as a store has."""
_COUNTS_AT_ONCE = 1 << 21
_UNSETTLED_BUCKETS = 3
# The newest buckets, to which services still add: the sum of the others is kept too.


class _Buffered(NamedTuple):
    """How much of a write buffer was summed up, and the sums by start."""

    slots: int
    parts: int
    sums: dict[int, EdgeSums]


class _Period(NamedTuple):
    """A period to sum up: what is kept of it, and the segments that it has besides."""

    slice: Slice
    version: RollUpVersion
    kept: KeptSum[EdgeSums, RollUpVersion] | None
    segments: Iterable[bytes]


class EdgeSumReader:
    """Any thread may use it: one at a time reads, and finds what the one before has kept."""

    def __init__(self, state: StoreState) -> None:
        self._state, self._lock = state, Lock()
        self._is_in_memory = state.file.path is None
        self._serial = 0
        self._reset()

    def _reset(self) -> None:
        self._numbering = EdgeNumbering(self._state.points)
        self._cache = SumCache[EdgeSums, RollUpVersion](MOST_BYTES)
        self._buffered: WeakKeyDictionary[WriteBuffer, _Buffered] = WeakKeyDictionary()

    def sum_all(self, first: int, last: int, coarsest: int) -> EdgeSums:
        """Return what was counted in [first, last). Times are whole buckets in seconds since the epoch."""
        with self._lock:
            self._limit_numbers()
            return self._add(sums for _, sums in self._read_sums(first, last, coarsest, in_all=True))

    def sum_by_start(self, first: int, last: int, coarsest: int) -> dict[int, EdgeSums]:
        """Return what was counted in [first, last), by the start of the rows.

        Rows have the resolutions that `merge_rows` reads.
        """
        found: dict[int, list[EdgeSums]] = {}
        with self._lock:
            self._limit_numbers()
            for start, sums in self._read_sums(first, last, coarsest, in_all=False):
                found.setdefault(start, []).append(sums)
            return {start: self._add(found[start]) for start in sorted(found)}

    def _limit_numbers(self) -> None:
        if len(self._numbering) > MOST_NUMBERS:
            self._reset()

    def _add(self, parts: Iterable[EdgeSums]) -> EdgeSums:
        return add_sums(parts, self._numbering)

    def _read_sums(self, first: int, last: int, coarsest: int, *, in_all: bool) -> Iterator[tuple[int, EdgeSums]]:
        """Yield the sums of periods with their starts, or (`in_all`) of everything that is rolled up together."""
        with ExitStack() as held:
            snapshot = held.enter_context(self._state.snapshot(self._copy_buffer))
            slices = [
                (each, list(self._list_periods(snapshot, each)))
                for each in plan_slices(first, last, snapshot.coverages, coarsest)
            ]
            if self._is_in_memory:
                held.close()  # the segments were listed: reports need not wait until they are summed up
            for each, periods in slices:
                unsettled = _UNSETTLED_BUCKETS if each.width == RESOLUTIONS[0] else 0
                together = max(0, len(periods) - unsettled) if in_all else 0
                if together:
                    yield each.first, self._sum_slice(each, periods[:together])
                yield from ((period.slice.first, self._sum_period(period)) for period in periods[together:])
        for buffer, additions in snapshot.buffered:
            sums = self._sum_buffer(buffer, additions)
            yield from ((start, sums[start]) for start in sums if first <= start < last)

    def _list_periods(self, snapshot: Snapshot[tuple[WriteBuffer, Additions]], each: Slice) -> Iterator[_Period]:
        for start, version in read_roll_up_versions(snapshot.connection, each).items():
            period = Slice(each.width, start, start + each.width)
            kept = self._cache.lookup(period)
            if kept is not None and kept.version == version:
                yield _Period(period, version, kept, ())
                continue
            added = read_added_segments(snapshot.connection, period, kept.version if kept else None, version)
            if added is None:  # some were deleted
                kept, added = None, read_added_segments(snapshot.connection, period, None, version)
            segments = added or iter(())
            yield _Period(period, version, kept, list(segments) if self._is_in_memory else segments)

    def _sum_slice(self, each: Slice, periods: list[_Period]) -> EdgeSums:
        """Return the sum of periods that begin with a slice. As ids only grow, all have one version together."""
        versions = [period.version for period in periods]
        version = sum(count for count, _ in versions), max((newest for _, newest in versions), default=0)
        each = Slice(each.width, each.first, max((period.slice.last for period in periods), default=each.first))
        if len(periods) < 2:
            return self._add(map(self._sum_period, periods))
        kept = self._cache.find_sum(each, version)
        return self._keep(each, version, self._add(map(self._sum_period, periods))) if kept is None else kept

    def _sum_period(self, period: _Period) -> EdgeSums:
        kept = period.kept
        if kept is not None and kept.version == period.version:
            return kept.restore()
        known = [] if kept is None else [kept.restore()]
        return self._keep(period.slice, period.version, self._add([*known, *self._sum_segments(period.segments)]))

    def _sum_segments(self, segments: Iterable[bytes]) -> Iterator[EdgeSums]:
        parts, points, counts = list[Histograms](), list[int](), 0
        for data in segments:
            histograms, numbers = unpack(data)
            parts.append(histograms.shift_groups(len(points)))
            points += numbers.tolist()
            counts += len(histograms.keys)
            if counts > _COUNTS_AT_ONCE:
                yield self._sum_parts(parts, points)
                parts, points, counts = [], [], 0
        yield self._sum_parts(parts, points)

    def _sum_parts(self, parts: list[Histograms], points: list[int]) -> EdgeSums:
        numbers = np.array(points, np.int64)
        return sum_rows(Rows(np.zeros(len(numbers), np.int64), numbers, concat(parts)), self._numbering)

    def _copy_buffer(self, buffer: WriteBuffer) -> tuple[WriteBuffer, Additions]:
        seen = self._buffered.get(buffer)
        return buffer, buffer.additions(seen.slots if seen else 0, seen.parts if seen else 0)

    def _sum_buffer(self, buffer: WriteBuffer, additions: Additions) -> dict[int, EdgeSums]:
        seen = self._buffered.get(buffer) or _Buffered(0, 0, {})
        added = sum_rows_by_start(additions.rows(), self._numbering)
        sums = dict(seen.sums)
        for start, part in added.items():
            self._serial += 1
            before = [sums[start]] if start in sums else []
            sums[start] = self._add([*before, part])._replace(version=self._serial)
        self._buffered[buffer] = _Buffered(len(additions.slots), seen.parts + len(additions.parts), sums)
        return sums

    def _keep(self, each: Slice, version: RollUpVersion, sums: EdgeSums) -> EdgeSums:
        sums = sums._replace(version=(each, version))
        self._cache.keep_sum(each, version, sums)
        return sums
