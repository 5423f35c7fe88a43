"""Segments of sketches: pack, rolled up and let go of, in steps that are short transactions each.

Packing and rolling up are computing, and need no lock: only one thread at a time writes segments (`store_upkeep`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.file import oldest_starts
from asyncdsm.agent.store.histograms import Histograms, Ints, merge, pack, unpack
from asyncdsm.agent.store.merger import Merger, Rows
from asyncdsm.agent.store.resolutions import RESOLUTIONS, Coverage

GRACE_SECONDS = 60
"""How long after its end a stretch is rolled up; what comes later is added to each level by itself."""
DETAIL_SECONDS = 24 * 3600
"""How long rows of ten seconds are kept."""
_SLICES = {10: 600, 60: 3600, 600: 6 * 3600, 3600: 24 * 3600}
# How much goes at once where there is no room: a multiple of the next level's width.
_OWN_SLICE = 600
# How much of one service goes at once where there is no room.

Coverages = dict[int, Coverage]
ServiceOf = Callable[[int], int | None]
"""The number of a point's service; None for a point that was forgotten."""


class Segment(NamedTuple):
    """The points of one service during one stretch of time, as `cells.pack` writes them."""

    width: int
    start: int
    service: int
    points: int
    data: bytes


class Stretch(NamedTuple):
    """Rows of a finer level in [start, end) that are to become rows of a level, which then goes up to `end`."""

    finer: int
    width: int
    start: int
    end: int


class Gone(NamedTuple):
    """How many rows were deleted of each service, and how many in all that no wider level has."""

    rows: Counter[int]
    lost: int = 0


def segments_from(rows: Rows, width: int, service_of: ServiceOf) -> Iterator[Segment]:
    """Yield rows as segments of one level; those of the same stretch are added up, those of forgotten points left out.

    One segment at a time is computed: nobody who waits for the interpreter waits for all of them.
    """
    found = np.array([service_of(point) or 0 for point in rows.points.tolist()], np.int64)
    known = found > 0
    services, rows = found[known], rows.where(known)
    named = np.stack((rows.starts // width * width, services, rows.points), axis=1)
    if not len(named):
        return
    named, group_of = np.unique(named, axis=0, return_inverse=True)
    cells = merge(rows.cells.relabel(group_of.reshape(-1).astype(np.int64)))
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(named[:, :2], axis=0) != 0).any(axis=1)]))
    ends = np.append(begins[1:], len(named))
    at, until = (np.searchsorted(cells.groups, place).tolist() for place in (begins, ends))
    for begin, end, first, last in zip(begins.tolist(), ends.tolist(), at, until, strict=True):
        part = Histograms(cells.keys[first:last], cells.counts[first:last])
        start, service = named[begin, :2].tolist()
        yield Segment(width, start, service, end - begin, pack(part.shift_groups(-begin), named[begin:end, 2]))


def put_segments(connection: sqlite3.Connection, segments: Iterable[Segment]) -> Counter[int]:
    """Write segments; return how many rows each service has more."""
    rows, listed = Counter[int](), list(segments)
    query = "INSERT INTO segments (width, start, service, points, data) VALUES (?, ?, ?, ?, ?)"
    connection.executemany(query, listed)
    for segment in listed:
        rows[segment.service] += segment.points
    return rows


def next_stretch(connection: sqlite3.Connection, extents: Coverages, now: float) -> Stretch | None:
    """Return what ended by now and is rolled up next, the finest level first; None where nothing is due."""
    for finer, width in pairwise(RESOLUTIONS):
        due = min(int(now - GRACE_SECONDS), extents[finer].until) // width * width
        until = extents[width].until
        if until >= due:
            continue
        query = "SELECT min(start) FROM segments WHERE width = ? AND start >= ?"
        (found,) = connection.execute(query, (finer, until)).fetchone()
        start = due if found is None else min(due, found // width * width)
        return Stretch(finer, width, start, min(due, start + width))
    return None


def read_stretch(connection: sqlite3.Connection, stretch: Stretch) -> list[tuple[int, bytes]]:
    """Return the services and the data of what is rolled up, ordered by service."""
    query = "SELECT service, data FROM segments WHERE width = ? AND start >= ? AND start < ? ORDER BY service"
    return connection.execute(query, (stretch.finer, stretch.start, stretch.end)).fetchall()


def rolled_up(
    stretch: Stretch, parts: Iterable[tuple[int, bytes]], is_known: Callable[[int], bool]
) -> Iterator[Segment]:
    """Yield one segment for each service, from what `read_stretch` returned. Forgotten points are left out."""
    for service, listed in groupby(parts, itemgetter(0)):
        merger = Merger()
        for _, data in listed:
            cells, points = unpack(data)
            merger.add(points, cells)
        points, cells = _only_known(*merger.grouped(), is_known)
        if len(points):
            yield Segment(stretch.width, stretch.start, service, len(points), pack(cells, points))


def _only_known(points: Ints, cells: Histograms, is_known: Callable[[int], bool]) -> tuple[Ints, Histograms]:
    known = np.array([is_known(point) for point in points.tolist()], np.bool_)
    if known.all():
        return points, cells
    return points[known], cells.select_groups(known).relabel(np.cumsum(known) - 1)


def forget_old(connection: sqlite3.Connection, extents: Coverages, oldest: int, now: float) -> Gone | None:
    """Let go of some of what is older than `oldest`, and of details older than a day; None where nothing is left."""
    firsts = oldest_starts(connection)
    for index, width in enumerate(RESOLUTIONS):
        wider = RESOLUTIONS[min(index + 1, len(RESOLUTIONS) - 1)]
        before = oldest
        if width == RESOLUTIONS[0]:
            before = max(oldest, min(int(now) - DETAIL_SECONDS, extents[wider].until))
        before = before // wider * wider
        first = firsts.get(width)
        if first is not None and first < before:
            return _delete(connection, extents, width, min(before, (first // wider + 1) * wider))
        if before > extents[width].since:
            mark(connection, extents, width, since=before)
    return None


def make_room(connection: sqlite3.Connection, extents: Coverages) -> Gone:
    """Let go of the oldest rows that a wider level covers, else of the oldest at all."""
    firsts = oldest_starts(connection)
    covered = [
        (first, finer, min(first + _SLICES[finer], extents[width].until) // width * width)
        for finer, width in pairwise(RESOLUTIONS)
        if (first := firsts.get(finer)) is not None and first < extents[width].until // width * width
    ]
    if covered:
        _, width, before = min(covered)
        return _delete(connection, extents, width, before)
    if not firsts:
        return Gone(Counter())
    first, width = min((first, width) for width, first in firsts.items())
    gone = _delete(connection, extents, width, first + width)
    return Gone(gone.rows, gone.rows.total())


def make_room_of(connection: sqlite3.Connection, service: int) -> Gone:
    """Let go of the oldest rows of one service, in all levels."""
    query = "SELECT min(start) FROM segments WHERE service = ? AND width = ?"
    starts = [connection.execute(query, (service, width)).fetchone()[0] for width in RESOLUTIONS]
    first = min((start for start in starts if start is not None), default=0)
    before = (first // _OWN_SLICE + 1) * _OWN_SLICE
    where = "FROM segments WHERE service = ? AND width = ? AND start < ?"
    gone = 0
    for width in RESOLUTIONS:
        values = (service, width, before)
        gone += connection.execute(f"SELECT coalesce(sum(points), 0) {where}", values).fetchone()[0]
        connection.execute(f"DELETE {where}", values)
    return Gone(Counter({service: gone}), gone)


def _delete(connection: sqlite3.Connection, extents: Coverages, width: int, before: int) -> Gone:
    where = "FROM segments WHERE width = ? AND start < ?"
    rows = dict(connection.execute(f"SELECT service, sum(points) {where} GROUP BY service", (width, before)))
    connection.execute(f"DELETE {where}", (width, before))
    mark(connection, extents, width, since=max(before, extents[width].since))
    return Gone(Counter(rows))


def mark(connection: sqlite3.Connection, extents: Coverages, width: int, **changed: int) -> None:
    """Note from when (`since`) or up to when (`until`) a level has everything."""
    extents[width] = extents[width]._replace(**changed)
    connection.execute("UPDATE levels SET since = ?, until = ? WHERE width = ?", (*extents[width], width))
