"""Reads what the store has of a time range: from the segments of the file and from the write buffers, as one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import ExitStack
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.store.edge_facts import MINUTE, TEN_MINUTES, read_facts
from asyncdsm.agent.store.histograms import Ints
from asyncdsm.agent.store.merger import Label, LabeledHistograms, Merger, Rows, by_point
from asyncdsm.agent.store.offset_search import Crossing, CrossingCache, Passing, find_crossing, read_thinned
from asyncdsm.agent.store.offsets import Backlog, Tags, read_offsets
from asyncdsm.agent.store.packed_histograms import unpack
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import FactSums
from asyncdsm.agent.store.resolutions import RESOLUTIONS, RollUpVersion, Slice, plan_slices
from asyncdsm.agent.store.sqlite.segments import oldest_start, read_roll_up_versions, read_segments
from asyncdsm.agent.store.sqlite.slice_cache import Key, SliceCache
from asyncdsm.agent.store.sqlite.state import Snapshot, StoreState
from asyncdsm.agent.store.write_buffer import WriteBuffer

_SEARCHES_AT_ONCE = 200
# A store in memory is locked meanwhile.


class _Part(NamedTuple):
    """What was read of a slice: start and data of its segments, or its sum if that was cached.

    `width` is how many seconds its rows cover, `key` its key in the cache, or None if its sum is not to be cached.
    """

    width: int
    segments: Iterable[tuple[int, bytes]]
    key: Key | None
    cached: LabeledHistograms | None


class StoreReader:
    """Reads rows and offsets. Any thread may use it; times are whole buckets in seconds since the epoch."""

    def __init__(self, state: StoreState) -> None:
        self._state = state
        self._cache = SliceCache()
        self._crossings = CrossingCache()
        state.latest.on_record = self._crossings.note_offset
        self._is_in_memory = state.file.path is None

    def merge_rows(
        self, first: int, last: int, label: Label, *, service: int | None, coarsest: int, sketch: int | None
    ) -> LabeledHistograms:
        """Return the rows that start in [first, last), merged by label."""
        merger, is_plain = Merger(), label is by_point and sketch is None and service is None
        with ExitStack() as held:
            snapshot = held.enter_context(self._state.snapshot(WriteBuffer.rows))
            slices = plan_slices(first, last, snapshot.coverages, coarsest)
            parts = [self._read_slice(snapshot, each, service, use_cache=is_plain) for each in slices]
            if self._is_in_memory:
                held.close()  # the segments were copied: reports need not wait until they are merged
            for rows in snapshot.buffered:
                wanted = (rows.starts >= first) & (rows.starts < last)
                if service is not None:
                    wanted &= self._are_of(service, rows.points)
                merger.add_rows(rows.select(wanted), label, sketch)
            for part in parts:
                self._merge_part(merger, part, label, sketch)
        return merger.result()

    def roll_up_versions(self, first: int, last: int, width: int) -> dict[int, RollUpVersion]:
        """Return the version of each rolled-up period of `width` seconds that starts in [first, last), by its start."""
        with self._state.snapshot(WriteBuffer.__bool__) as snapshot:
            if width not in RESOLUTIONS[1:]:
                return {}
            until = min(last, snapshot.coverages[width].until)
            return read_roll_up_versions(snapshot.connection, Slice(width, first, until))

    def offsets(self, first: int, last: int) -> list[tuple[Tags, int, int]]:
        """Return tags, start and value of the offsets in [first, last) and of the last one before, in order of time."""
        with self._state.snapshot(lambda buffer: list(buffer.offsets.items())) as snapshot:
            highest = {(tags, start): value for tags, start, value in read_offsets(snapshot.connection, first, last)}
        for key, value in (offset for offsets in snapshot.buffered for offset in offsets):
            highest[key] = max(value, highest.get(key, value))
        ordered = sorted(((*key, value) for key, value in highest.items() if key[1] < last), key=itemgetter(1))
        before = {tags: start for tags, start, _ in ordered if start < first}
        return [each for each in ordered if each[1] >= before.get(each[0], first)]

    def edge_facts(self, first: int, last: int, detailed_since: float) -> dict[EdgeKey, FactSums]:
        """Return what messages of each edge said in [first, last). Before `detailed_since`, ten minutes are one."""
        step = MINUTE if first >= detailed_since else TEN_MINUTES
        first = first // step * step
        with self._state.snapshot(lambda buffer: list(buffer.facts.items())) as snapshot:
            found = dict(read_facts(snapshot.connection, first, last))
        for (edge, start), sums in (fact for facts in snapshot.buffered for fact in facts):
            if first <= start < last:
                found[edge] = found.get(edge, FactSums()).merge(sums)
        return found

    def find_crossings(self, wanted: Iterable[Passing]) -> dict[Passing, Crossing]:
        """Return the crossings that the store reaches back to.

        What was found before is not read again; of the rest, only the first `MOST_SEARCHES` are looked for.
        """
        with self._crossings.search(wanted) as search:
            for begin in range(0, len(search.unknown), _SEARCHES_AT_ONCE):
                passings = search.unknown[begin : begin + _SEARCHES_AT_ONCE]
                select = partial(_select_offsets, {passing.tags for passing in passings})
                with self._state.snapshot(select) as snapshot:
                    buffered = _by_backlog(snapshot.buffered)
                    for passing in passings:
                        crossing = find_crossing(snapshot.connection, passing, buffered.get(passing.tags, ()))
                        if crossing is not None:
                            search.add(passing, crossing)
            return search.found

    def thinned_offsets(self, tags: Tags, first: int, last: int, step: int) -> list[Backlog]:
        """Return the last offset of a backlog in each `step` seconds of [first, last)."""
        with self._state.snapshot(partial(_select_offsets, {tags})) as snapshot:
            written = list(read_thinned(snapshot.connection, tags, first, last, step))
        buffered = _by_backlog(snapshot.buffered).get(tags, ())
        later = (each for each in buffered if first <= each.start < last and each.value >= 0)
        return list({each.start // step: each for each in sorted([*written, *later])}.values())

    def oldest_start(self) -> float | None:
        """Return the start of the oldest row, or None without any row."""
        with self._state.snapshot(WriteBuffer.starts) as snapshot:
            starts = [start for buffered in snapshot.buffered for start in buffered]
            return min([*starts, *filter(None, [oldest_start(snapshot.connection)])], default=None)

    def _are_of(self, service: int, points: Ints) -> NDArray[np.bool_]:
        """Return which points are those of a service: buffers have the rows of all services."""
        owners = map(self._state.points.service_of, points.tolist())
        return np.array([owner == service for owner in owners], np.bool_)

    def _read_slice(self, snapshot: Snapshot[Rows], each: Slice, service: int | None, *, use_cache: bool) -> _Part:
        is_rolled_up = each.width > RESOLUTIONS[0]
        key = self._cache.make_key(snapshot.connection, each) if use_cache and is_rolled_up else None
        cached = self._cache.lookup(key) if key is not None else None
        segments = read_segments(snapshot.connection, [each] if cached is None else [], service)
        return _Part(each.width, list(segments) if self._is_in_memory else segments, key, cached)

    def _merge_part(self, merger: Merger, part: _Part, label: Label, sketch: int | None) -> None:
        if part.key is not None:
            merger.add(*(part.cached or self._cache.merge_segments(part.key, part.segments)))
            return
        for start, data in part.segments:
            histograms, points = unpack(data)
            merger.add_rows(Rows(np.full(len(points), start), points, histograms, part.width), label, sketch)


def _select_offsets(backlogs: Collection[Tags], buffer: WriteBuffer) -> list[tuple[Tags, Backlog]]:
    return [(tags, Backlog(start, value)) for (tags, start), value in buffer.offsets.items() if tags in backlogs]


def _by_backlog(buffered: Iterable[Iterable[tuple[Tags, Backlog]]]) -> dict[Tags, list[Backlog]]:
    """Return the offsets of write buffers by their backlogs, one for each bucket."""
    highest: dict[Tags, dict[int, int]] = {}
    for tags, (start, value) in (offset for offsets in buffered for offset in offsets):
        of_backlog = highest.setdefault(tags, {})
        of_backlog[start] = max(value, of_backlog.get(start, value))
    return {tags: [Backlog(*each) for each in offsets.items()] for tags, offsets in highest.items()}
