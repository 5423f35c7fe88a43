"""What the store does by itself: it writes what is pending, rolls up, forgets, and makes room.

It works in short steps and gives up the store's lock between them, so that whoever reports is answered meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import NamedTuple, TypeVar

from asyncdsm.agent.store.core import Change, Core
from asyncdsm.agent.store.file import delete_names, forget_points, put_next_numbers, put_points, put_services
from asyncdsm.agent.store.offsets import (
    forget_backlogs,
    forget_old_offsets,
    forget_oldest_offsets,
    put_offsets,
    thin_offsets,
)
from asyncdsm.agent.store.pending import Pending
from asyncdsm.agent.store.resolutions import RESOLUTIONS
from asyncdsm.agent.store.rollup import (
    DETAIL_SECONDS,
    Gone,
    forget_old,
    make_room,
    make_room_of,
    mark,
    next_stretch,
    put_segments,
    read_stretch,
    rolled_up,
    segments_from,
)

MOST_STRETCHES = 30
# How many stretches one turn rolls up at most, so that it ends when the agent does.
AT_ONCE = 1_000
# How many names or offsets one step writes.
T = TypeVar("T")


class Bounds(NamedTuple):
    """What the store may keep."""

    kept_seconds: int
    rows: int
    bytes: int


class Upkeep:
    """Keeps a store's file in order and within its bounds."""

    def __init__(self, core: Core, bounds: Bounds) -> None:
        self._core, self._bounds = core, bounds
        self._journaled = self._thinned = 0

    def run(self, now: float) -> None:
        """Do all that is due, some of it only where there is much. Raises sqlite3.Error."""
        self.write_pending()
        self._forget_evicted()  # before the store is measured: rows of others need not go for these names
        now = min(now, self._core.pending.newest + 3600)  # a clock that is ahead must not make all of it old
        oldest = int(now) - self._bounds.kept_seconds
        self._roll_up(now)
        gone = self._forget_old(oldest, now) + self._make_room()
        self._forget_offsets(oldest, now)
        if gone:
            self._forget_names(oldest)

    def write_pending(self) -> None:
        """Write what is pending. What fails is kept in memory and in the journal. Raises sqlite3.Error."""
        core = self._core
        with core.lock:
            if core.writing is None and core.pending:
                self._journaled = core.file.last_in_journal()
                core.writing, core.pending = core.pending, Pending(core.pending.newest, core.latest)
            if core.writing is None:
                return
            writing, rows = core.writing, core.writing.rows()
        core.pause()
        # Written again after a kill, names and offsets are the same: they need not go with the segments.
        self._write_names(writing)
        segments = [
            segment
            for width in RESOLUTIONS
            for late in [rows if width == RESOLUTIONS[0] else rows.where(rows.starts < core.extents[width].until)]
            for segment in segments_from(late, width, core.points.service_of)
        ]
        with core.lock:
            with core.transaction() as change:
                change.rows.update(put_segments(change.connection, segments))
                change.counted.update(writing.counted)
                change.counted["forgotten_rows"] += len(rows.points) - sum(
                    segment.points for segment in segments if segment.width == RESOLUTIONS[0]
                )
                change.connection.execute("DELETE FROM journal WHERE id <= ?", (self._journaled,))
            core.writing = None
        core.pause()

    def _write_names(self, writing: Pending) -> None:
        core, last = self._core, dict[int, int]()
        for start, point in writing.slots:
            last[point] = max(start, last.get(point, start))
        for services in _batches(writing.last_seen.items()):
            with core.step() as change:
                put_services(change.connection, core.points, services)
                put_next_numbers(change.connection, core.points)
        for points in _batches(last.items()):
            with core.step() as change:
                put_points(change.connection, core.points, points)
        for offsets in _batches(writing.offsets.items()):
            with core.step() as change:
                put_offsets(change.connection, offsets, core.latest.owner)

    def _roll_up(self, now: float) -> None:
        core = self._core
        for _ in range(MOST_STRETCHES):
            with core.lock:
                stretch = next_stretch(core.file.connection, core.extents, now)
                if stretch is None:
                    return
                parts = read_stretch(core.file.connection, stretch)
            segments = list(rolled_up(stretch, parts, core.points.keys.__contains__))
            with core.step() as change:
                change.rows.update(put_segments(change.connection, segments))
                mark(change.connection, change.extents, stretch.width, until=stretch.end)

    def _forget_old(self, oldest: int, now: float) -> int:
        forgotten = 0
        while True:
            with self._core.step() as change:
                gone = forget_old(change.connection, change.extents, oldest, now)
                if gone is None:
                    return forgotten
                change.rows.subtract(gone.rows)
            forgotten += gone.rows.total()

    def _make_room(self) -> int:
        """Let go of what is beyond the bounds; return how many rows went."""
        core, forgotten = self._core, 0
        while self._has_too_much():
            with core.step() as change:
                gone = self._make_some_room(change)
                change.rows.subtract(gone.rows)
                change.counted["forgotten_rows"] += gone.lost
                if not (gone.rows.total() or forget_oldest_offsets(change.connection)):
                    return forgotten
            forgotten += gone.rows.total()
        return forgotten

    def _has_too_much(self) -> bool:
        with self._core.lock:
            used = self._core.file.used_bytes()
        return self._core.counted["rows"] > self._bounds.rows or used > self._bounds.bytes

    def _make_some_room(self, change: Change) -> Gone:
        """A service that has more than half of all rows makes room before all others do."""
        rows = self._core.rows
        service, most = max(rows.items(), key=itemgetter(1), default=(0, 0))
        if 2 * most > rows.total() and most < rows.total():
            gone = make_room_of(change.connection, service)
            if gone.rows.total():
                return gone
        return make_room(change.connection, change.extents)

    def _forget_offsets(self, oldest: int, now: float) -> None:
        detail = (int(now) - DETAIL_SECONDS) // 60 * 60
        with self._core.step() as change:
            forget_old_offsets(change.connection, oldest)
        if detail > self._thinned:
            first = max(self._thinned, detail - 3600)
            with self._core.step() as change:
                thin_offsets(change.connection, first, detail)
            self._thinned = detail

    def _forget_names(self, oldest: int) -> None:
        """Let go of names that have no rows any more."""
        with self._core.step() as change:
            forgotten = forget_points(change.connection, oldest)
            self._core.points.forget(*forgotten)

    def _forget_evicted(self) -> None:
        """Let go of names that were forgotten for want of room."""
        points = self._core.points
        for numbers in _batches(_taken(points.evicted_points)):
            with self._core.step() as change:
                delete_names(change.connection, numbers, ())
        for numbers in _batches(_taken(points.evicted_services)):
            with self._core.step() as change:
                delete_names(change.connection, (), numbers)
        for backlogs in _batches(_taken(self._core.latest.evicted)):
            with self._core.step() as change:
                forget_backlogs(change.connection, backlogs)


def _taken(listed: list[T]) -> list[T]:
    """Return what is in a list, and take it out; other threads may append meanwhile."""
    found = listed[:]
    del listed[: len(found)]
    return found


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, AT_ONCE)):
        yield batch
