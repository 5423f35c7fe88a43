"""Offsets of backlogs over time: the highest under the same tags during ten seconds, later the last of each minute."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.msgpack import decode, encode

Tags = tuple[str, ...]
_DETAIL_SECONDS = 24 * 3600
RECENT_SECONDS = 120
"""For how long before the newest offset of a backlog those of earlier buckets stay in memory."""


class Backlog(NamedTuple):
    """The latest offset under some tags: the highest of the newest bucket."""

    start: int
    value: int


class Latest:
    """The latest offsets of each backlog, in memory; those heard of longest ago are let go of first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._backlogs: OrderedDict[Tags, tuple[Backlog, ...]] = OrderedDict()

    def note(self, tags: Tags, backlog: Backlog) -> None:
        """Take what is newer: the newest bucket wins, not the highest value, for a topic made anew counts from 0."""
        known = self._backlogs.get(tags, ())
        if not known or backlog >= known[-1]:
            self._backlogs[tags] = _with(known, backlog)
            self._backlogs.move_to_end(tags)
        elif backlog.start > known[-1].start - RECENT_SECONDS:
            self._backlogs[tags] = _with(known, backlog)
        if len(self._backlogs) > self._most:
            self._backlogs.popitem(last=False)

    def values(self) -> dict[Tags, int]:
        """Return the offsets by tags."""
        return {tags: backlogs[-1].value for tags, backlogs in self._backlogs.items()}

    def recent(self) -> list[tuple[Tags, tuple[Backlog, ...]]]:
        """Return the offsets of recent buckets by tags, each backlog's in the order of their buckets."""
        return list(self._backlogs.items())


def _with(known: tuple[Backlog, ...], backlog: Backlog) -> tuple[Backlog, ...]:
    """Return offsets in the order of their buckets with one more, without those that are too old to be recent."""
    by_start = dict(known)
    by_start[backlog.start] = max(backlog.value, by_start.get(backlog.start, backlog.value))
    ordered = sorted(by_start.items())
    oldest = ordered[-1][0] - RECENT_SECONDS
    while len(ordered) > 1 and ordered[1][0] <= oldest:  # the last one before stays: it was valid until the next
        del ordered[0]
    return tuple(Backlog(*each) for each in ordered)


def put_offsets(connection: sqlite3.Connection, offsets: Iterable[tuple[tuple[Tags, int], int]]) -> None:
    """Note offsets by tags and start; the highest wins."""
    listed = [
        {"tags": encode(tags), "start": start, "value": min(value, (1 << 63) - 1)} for (tags, start), value in offsets
    ]
    connection.executemany("INSERT OR IGNORE INTO backlogs (tags) VALUES (:tags)", listed)
    connection.executemany(
        "INSERT INTO offsets SELECT id, :start, :value FROM backlogs WHERE tags = :tags "
        "ON CONFLICT (backlog, start) DO UPDATE SET value = max(value, excluded.value)",
        listed,
    )


def read_offsets(connection: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[Tags, int, int]]:
    """Yield tags, start and offset of each backlog in [first, last), and its last one before, in order of time."""
    before = (
        "SELECT b.tags, o.start, o.value FROM backlogs b JOIN offsets o ON o.backlog = b.id "
        "AND o.start = (SELECT max(start) FROM offsets WHERE backlog = b.id AND start < ?)"
    )
    within = (
        "SELECT b.tags, o.start, o.value FROM offsets o JOIN backlogs b ON b.id = o.backlog "
        "WHERE o.start >= ? AND o.start < ? ORDER BY o.start"
    )
    for query, values in ((before, (first,)), (within, (first, last))):
        for tags, start, value in connection.execute(query, values):
            yield tuple(decode(tags)), start, value


def latest_offsets(connection: sqlite3.Connection) -> Iterator[tuple[Tags, Backlog]]:
    """Yield the latest offset of each backlog, those heard of longest ago first."""
    query = (
        "SELECT tags, start, value FROM (SELECT backlog, max(start) AS start, value FROM offsets GROUP BY backlog) "
        "JOIN backlogs ON id = backlog ORDER BY start"
    )
    for tags, start, value in connection.execute(query):
        yield tuple(decode(tags)), Backlog(start, value)


def forget_offsets(connection: sqlite3.Connection, oldest: int, now: float) -> None:
    """Let go of what is older than `oldest`, and of all but the last of each minute that is a day ago."""
    connection.execute("DELETE FROM offsets WHERE start < ?", (oldest,))
    detail = int(now) - _DETAIL_SECONDS
    connection.execute(
        "DELETE FROM offsets AS o WHERE start >= :end - 3600 AND start < :end AND EXISTS ("
        "SELECT 1 FROM offsets AS later WHERE later.backlog = o.backlog "
        "AND later.start > o.start AND later.start < (o.start / 60 + 1) * 60)",
        {"end": detail // 60 * 60},
    )
    connection.execute("DELETE FROM backlogs WHERE id NOT IN (SELECT backlog FROM offsets)")


def forget_oldest_offsets(connection: sqlite3.Connection) -> int:
    """Let go of the oldest hour; return how many went."""
    query = "DELETE FROM offsets WHERE start < (SELECT min(start) FROM offsets) + 3600"
    return connection.execute(query).rowcount
