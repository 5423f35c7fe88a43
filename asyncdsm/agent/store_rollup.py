"""Writing segments, rolling them up, and letting go of the oldest. All within a transaction of the store's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from asyncdsm.agent.cells import Cells, merged, packed, unpacked
from asyncdsm.agent.levels import WIDTHS, Extent, Piece
from asyncdsm.agent.merger import Merger, Rows
from asyncdsm.agent.store_file import first_starts, segments_of

GRACE_SECONDS = 60
"""How long after its end a stretch is rolled up; what comes later is added to each level by itself."""
DETAIL_SECONDS = 24 * 3600
"""How long rows of ten seconds are kept."""
_MOST_AT_ONCE = 30
"""Stretches that one turn rolls up at most, so that intake does not wait long."""
_SLICES = {10: 600, 60: 3600, 600: 6 * 3600, 3600: 24 * 3600}
"""How much goes at once where there is no room: a multiple of the next level's width."""

Extents = dict[int, Extent]
ServiceOf = Callable[[int], int]
"""The number of a point's service."""


def put_rows(connection: sqlite3.Connection, rows: Rows, service_of: ServiceOf, extents: Extents) -> int:
    """Write what arrived: as rows of ten seconds, and into each roll-up that is made already. Return how many rows."""
    return sum(_put(connection, width, rows.where(rows.starts < extents[width].until), service_of) for width in WIDTHS)


def roll_up(connection: sqlite3.Connection, extents: Extents, now: float, service_of: ServiceOf) -> int:
    """Roll up what ended by now, oldest first, some of it. Changes `extents`; returns how many rows were added."""
    written = turns = 0
    for finer, width in pairwise(WIDTHS):
        due = min(int(now - GRACE_SECONDS), extents[finer].until) // width * width
        while (until := extents[width].until) < due and turns < _MOST_AT_ONCE:
            (next_,) = connection.execute(
                "SELECT min(start) FROM segments WHERE width = ? AND start >= ?", (finer, until)
            ).fetchone()
            start = due if next_ is None else min(due, next_ // width * width)
            if start < due:
                written += _roll_up(connection, finer, width, start, service_of)
                turns += 1
            _mark(connection, extents, width, until=min(due, start + width))
    return written


def _roll_up(connection: sqlite3.Connection, finer: int, width: int, start: int, service_of: ServiceOf) -> int:
    merger = Merger()
    for _, data in segments_of(connection, [Piece(finer, start, start + width)], None):
        cells, points = unpacked(data)
        merger.add(points, cells)
    points, cells = merger.grouped()
    return _put(connection, width, Rows(np.full(len(points), start), points, cells), service_of)


def forget_old(connection: sqlite3.Connection, extents: Extents, oldest: int, now: float) -> int:
    """Let go of all that is older than `oldest`, and of details older than a day. Return how many rows went."""
    gone = 0
    for index, width in enumerate(WIDTHS):
        wider = WIDTHS[min(index + 1, len(WIDTHS) - 1)]
        before = oldest
        if width == WIDTHS[0]:
            before = max(oldest, min(int(now) - DETAIL_SECONDS, extents[wider].until))
        gone += _delete(connection, extents, width, before // wider * wider)
    return gone


def make_room(connection: sqlite3.Connection, extents: Extents) -> tuple[int, int]:
    """Let go of the oldest rows that a wider level covers, else of the oldest at all.

    Return how many rows went, and how many of them nothing covers.
    """
    firsts = first_starts(connection)
    covered = [
        (first, finer, min(first + _SLICES[finer], extents[width].until) // width * width)
        for finer, width in pairwise(WIDTHS)
        if (first := firsts.get(finer)) is not None and first < extents[width].until // width * width
    ]
    if covered:
        _, width, before = min(covered)
        return _delete(connection, extents, width, before), 0
    if not firsts:
        return 0, 0
    first, width = min((first, width) for width, first in firsts.items())
    gone = _delete(connection, extents, width, first + width)
    return gone, gone


def _delete(connection: sqlite3.Connection, extents: Extents, width: int, before: int) -> int:
    where = "FROM segments WHERE width = ? AND start < ?"
    (gone,) = connection.execute(f"SELECT coalesce(sum(points), 0) {where}", (width, before)).fetchone()
    connection.execute(f"DELETE {where}", (width, before))
    _mark(connection, extents, width, since=max(before, extents[width].since))
    return int(gone)


def _mark(connection: sqlite3.Connection, extents: Extents, width: int, **changed: int) -> None:
    extents[width] = extents[width]._replace(**changed)
    connection.execute("UPDATE levels SET since = ?, until = ? WHERE width = ?", (*extents[width], width))


def _put(connection: sqlite3.Connection, width: int, rows: Rows, service_of: ServiceOf) -> int:
    """Write rows as segments of one level; those of the same stretch are added up."""
    if not len(rows.points):
        return 0
    services = np.array([service_of(point) for point in rows.points.tolist()], np.int64)
    named = np.stack((rows.starts // width * width, services, rows.points), axis=1)
    named, group_of = np.unique(named, axis=0, return_inverse=True)
    cells = merged(rows.cells.regrouped(group_of.reshape(-1).astype(np.int64)))
    begins = np.flatnonzero(np.concatenate([[True], (np.diff(named[:, :2], axis=0) != 0).any(axis=1)]))
    ends = np.append(begins[1:], len(named))
    at, until = (np.searchsorted(cells.groups, place).tolist() for place in (begins, ends))
    values = [
        (width, *named[begin, :2].tolist(), end - begin, packed(part.shifted(-begin), named[begin:end, 2]))
        for begin, end, first, last in zip(begins.tolist(), ends.tolist(), at, until, strict=True)
        for part in [Cells(cells.keys[first:last], cells.counts[first:last])]
    ]
    connection.executemany("INSERT INTO segments (width, start, service, points, data) VALUES (?, ?, ?, ?, ?)", values)
    return len(named)
