"""Reads sums of rows, by edge and by point, and keeps them: what was acknowledged since then is read anew.

Agents mark a minute after they have written rows of it, and before they acknowledge them. So a sum of rows that were
read after the marks has everything that is acknowledged, as long as the marks are the same. A row that is written and
not marked yet may be in a sum or not; with its mark, all rows of its minute are read again, and none is added to a sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from asyncdsm.agent.store.clickhouse.periods import MINUTE, Periods
from asyncdsm.agent.store.clickhouse.row_reader import RowReader
from asyncdsm.agent.store.clickhouse.shared_state import SharedState
from asyncdsm.agent.store.edge_sums import EdgeNumbering, EdgeSums, add_sums, sum_rows
from asyncdsm.agent.store.merger import LabeledHistograms, Merger, by_point
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, Slice
from asyncdsm.agent.store.sum_cache import SumCache

MOST_BYTES = 96 << 20
"""How many bytes of sums by edge are kept, and of sums by point."""
MOST_NUMBERS = 400_000
"""How many edges and points are numbered: twice as many points as an agent knows."""


class _Version(NamedTuple):
    """What changes as soon as a sum does."""

    periods: tuple[tuple[int, int], ...]
    names: tuple[int, int]


class _EdgeSumCache(NamedTuple):
    """Sums by edge, whose edges all have the same numbers."""

    numbering: EdgeNumbering
    sums: SumCache[EdgeSums, _Version]


class _Plan(NamedTuple):
    """The slices that cover a time range, and what is known of their rows before these are read."""

    slices: list[Slice]
    periods: Periods
    names: tuple[int, int]

    def version(self, rows: Slice) -> _Version:
        """Return the version of the sum of a slice."""
        return _Version(self.periods.version(rows), self.names)


class SumReader:
    """Any thread may use it; times are whole buckets in seconds since the epoch. Raises what a Connection raises."""

    def __init__(self, rows: RowReader, state: SharedState) -> None:
        self._rows, self._state = rows, state
        self._serials = count()
        self._by_point = SumCache[LabeledHistograms, _Version](MOST_BYTES)
        self._by_edge = self._make_cache()

    def sum_all(self, first: int, last: int, coarsest: int) -> EdgeSums:
        """Return what was counted in [first, last) by edge, from rows that are no coarser than `coarsest`."""
        cache, plan = self._cache(), self._plan(first, last, coarsest)
        found = {each: cache.sums.find_sum(each, plan.version(each)) for each in plan.slices}
        missing = [each for each, sums in found.items() if sums is None]
        buckets = self._read_buckets(cache, plan, missing)
        for each in missing:
            inside = [buckets[start] for start in range(each.first, each.last, each.width)]
            found[each] = total = add_sums(inside, cache.numbering)
            if len(inside) > 1:  # otherwise it is kept already
                cache.sums.keep_sum(each, plan.version(each), total)
        return add_sums((sums for sums in found.values() if sums is not None), cache.numbering)

    def sum_by_start(self, first: int, last: int, coarsest: int) -> dict[int, EdgeSums]:
        """Return the same by the start of the rows, in ascending order."""
        plan = self._plan(first, last, coarsest)
        found = self._read_buckets(self._cache(), plan, plan.slices)
        return {start: found[start] for start in sorted(found) if len(found[start].points)}

    def merge_points(self, first: int, last: int, coarsest: int) -> LabeledHistograms:
        """Return what was counted in [first, last) by point."""
        plan, merger = self._plan(first, last, coarsest), Merger()
        missing: list[Slice] = []
        for each in plan.slices:
            merged = self._by_point.find_sum(each, plan.version(each))
            if merged is None:
                missing.append(each)
            else:
                merger.add(*merged)
        for each, merged in self._merge_slices(missing):
            self._by_point.keep_sum(each, plan.version(each), merged)
            merger.add(*merged)
        return merger.result()

    def _merge_slices(self, slices: Sequence[Slice]) -> Iterator[tuple[Slice, LabeledHistograms]]:
        """Yield what was counted in each of some slices, given in order, by point, as soon as it is read."""
        slice_of = {start: each for each in slices for start in _starts(each)}
        mergers = {each: Merger() for each in slices}
        for buckets in self._rows.split(slices):
            for start, rows in self._rows.read_by_start(buckets):
                if start in slice_of:
                    mergers[slice_of[start]].add_rows(rows, by_point)
            for each in [each for each in mergers if each.last <= buckets[-1].last]:
                yield each, mergers.pop(each).result()

    def _cache(self) -> _EdgeSumCache:
        if len(self._by_edge.numbering) > MOST_NUMBERS:
            self._by_edge = self._make_cache()
        return self._by_edge

    def _make_cache(self) -> _EdgeSumCache:
        return _EdgeSumCache(EdgeNumbering(self._state.registry), SumCache(MOST_BYTES))

    def _plan(self, first: int, last: int, coarsest: int) -> _Plan:
        """Plan which rows are read. Versions are known before the rows."""
        names, periods = self._state.names.version, self._rows.periods(first, last)
        return _Plan(list(_split(periods.plan(first, last, coarsest))), periods, names)

    def _read_buckets(self, cache: _EdgeSumCache, plan: _Plan, slices: Iterable[Slice]) -> dict[int, EdgeSums]:
        """Return the sum of each bucket, or period that is rolled up, of some slices by its start.

        What was read is kept, also if a later query fails.
        """
        found = dict[Slice, EdgeSums]()
        missing: list[Slice] = []
        for each in slices:
            for start in _starts(each):
                bucket = Slice(each.width, start, start + each.width)
                sums = cache.sums.find_sum(bucket, plan.version(bucket))
                if sums is None:
                    missing.append(bucket)
                else:
                    found[bucket] = sums
        for buckets in self._rows.split(missing):
            for each, sums in self._sum_rows(cache, buckets).items():
                cache.sums.keep_sum(each, plan.version(each), sums)
                found[each] = sums
        return {each.first: sums for each, sums in found.items()}

    def _sum_rows(self, cache: _EdgeSumCache, buckets: Sequence[Slice]) -> dict[Slice, EdgeSums]:
        parts: dict[int, list[EdgeSums]] = {each.first: [] for each in buckets}
        for start, rows in self._rows.read_by_start(buckets):
            if start in parts:
                parts[start].append(sum_rows(rows, cache.numbering))
        return {
            each: add_sums(parts[each.first], cache.numbering)._replace(version=next(self._serials)) for each in buckets
        }


def _starts(rows: Slice) -> Sequence[int]:
    return range(rows.first, rows.last, rows.width)


def _split(slices: Iterable[Slice]) -> Iterator[Slice]:
    """Yield slices with one of each minute instead of those of ten seconds: a mark changes only that minute."""
    for each in slices:
        if each.width != BUCKET_SECONDS:
            yield each
            continue
        for minute in range(each.first // MINUTE * MINUTE, each.last, MINUTE):
            yield Slice(each.width, max(each.first, minute), min(each.last, minute + MINUTE))
