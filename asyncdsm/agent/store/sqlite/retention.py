"""Deleting rows: those that are too old, and others if the store has too many. Each call is a short step.

A store that is full loses detail before it loses history: first go rows that a coarser resolution covers, so that each
resolution reaches back the longer, the coarser it is (`REACH_WEIGHTS`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.agent.store.limits import DETAIL_SECONDS, LEAST_REACH, REACH_WEIGHTS
from asyncdsm.agent.store.resolutions import FOREVER, RESOLUTIONS, Coverages
from asyncdsm.agent.store.sqlite.segments import oldest_starts, set_coverage

# How many seconds of each resolution are deleted at once to make room: a multiple of the next resolution.
_ROOM_STEPS: dict[int, int] = {10: 600, 60: 3600, 600: 6 * 3600}
# How many seconds of one service are deleted at once to make room.
_SERVICE_ROOM_STEP = 600


class DeletedRows(NamedTuple):
    """How many rows were deleted of each service, by its number, and how many in all without a coarser copy."""

    rows: Counter[int]
    lost: int = 0


def delete_old_rows(
    connection: sqlite3.Connection, coverages: Coverages, oldest: int, now: float
) -> DeletedRows | None:
    """Delete some rows that are older than `oldest`, or of the finest resolution and older than a day.

    Return None if there are no such rows left.
    """
    firsts = oldest_starts(connection)
    for index, width in enumerate(RESOLUTIONS):
        coarser = RESOLUTIONS[min(index + 1, len(RESOLUTIONS) - 1)]
        before = oldest
        if width == RESOLUTIONS[0]:
            before = max(oldest, min(int(now) - DETAIL_SECONDS, coverages[coarser].until))
        before = before // coarser * coarser
        first = firsts.get(width)
        if first is not None and first < before:
            return _delete_rows(connection, coverages, width, min(before, (first // coarser + 1) * coarser))
        if before > coverages[width].since:
            set_coverage(connection, coverages, width, since=before)
    return None


def delete_details(connection: sqlite3.Connection, coverages: Coverages, reach: float = LEAST_REACH) -> DeletedRows:
    """Delete the oldest rows of the resolution that reaches back farthest, weighed, if a coarser one covers them.

    Rows of ten seconds that reach back no farther than `reach` seconds, and coarser ones in proportion, are kept.
    """
    firsts, now = oldest_starts(connection), coverages[RESOLUTIONS[1]].until
    found, oldest_finer = [(float(reach), 0, 0)], FOREVER
    for width, coarser in pairwise(RESOLUTIONS):
        first = firsts.get(width, oldest_finer)
        until = min(first + _ROOM_STEPS[width], coverages[coarser].until, oldest_finer) // coarser * coarser
        if first < until:
            found.append(((now - first) / REACH_WEIGHTS[width], width, until))
        oldest_finer = first
    _, width, until = max(found)
    return _delete_rows(connection, coverages, width, until) if width else DeletedRows(Counter())


def make_room(connection: sqlite3.Connection, coverages: Coverages) -> DeletedRows:
    """Delete the oldest hour if no finer rows reach back as far, or else details, or else the oldest rows of all."""
    firsts, hours = oldest_starts(connection), RESOLUTIONS[-1]
    oldest = min((first for width, first in firsts.items() if width != hours), default=FOREVER)
    if firsts.get(hours, FOREVER) + hours > oldest and (deleted := delete_details(connection, coverages, 0)).rows:
        return deleted
    if not firsts:
        return DeletedRows(Counter())
    first, width = min((first, width) for width, first in firsts.items())
    deleted = _delete_rows(connection, coverages, width, first + width)
    return DeletedRows(deleted.rows, deleted.rows.total())


def make_room_of_service(connection: sqlite3.Connection, service: int) -> DeletedRows:
    """Delete the oldest rows of one service in all resolutions."""
    query = "SELECT min(start) FROM segments WHERE service = ? AND width = ?"
    starts = [connection.execute(query, (service, width)).fetchone()[0] for width in RESOLUTIONS]
    first = min((start for start in starts if start is not None), default=0)
    before = (first // _SERVICE_ROOM_STEP + 1) * _SERVICE_ROOM_STEP
    where = "FROM segments WHERE service = ? AND width = ? AND start < ?"
    deleted = 0
    for width in RESOLUTIONS:
        values = (service, width, before)
        deleted += connection.execute(f"SELECT coalesce(sum(points), 0) {where}", values).fetchone()[0]
        connection.execute(f"DELETE {where}", values)
    return DeletedRows(Counter({service: deleted}), deleted)


def _delete_rows(connection: sqlite3.Connection, coverages: Coverages, width: int, before: int) -> DeletedRows:
    """Delete the rows of a resolution that start before `before`."""
    where = "FROM segments WHERE width = ? AND start < ?"
    rows = dict(connection.execute(f"SELECT service, sum(points) {where} GROUP BY service", (width, before)))
    connection.execute(f"DELETE {where}", (width, before))
    set_coverage(connection, coverages, width, since=max(before, coverages[width].since))
    return DeletedRows(Counter(rows))
