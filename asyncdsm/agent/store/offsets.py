"""Offsets of backlogs over time: the highest under the same tags during ten seconds, later the last of each minute."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from msgspec.msgpack import decode, encode

from asyncdsm.agent.store.shares import FairShares
from asyncdsm.agent.store.weights import weight_of

Tags = tuple[str, ...]
RECENT_SECONDS = 120
"""For how long before the newest offset of a backlog those of earlier buckets stay in memory."""


class Backlog(NamedTuple):
    """The latest offset under some tags: the highest of the newest bucket."""

    start: int
    value: int


class Latest:
    """The latest offsets of each backlog, in memory. Each belongs to the service that reported it first.

    Beyond `most`, those heard of longest ago go; only those of services that have more than an equal share.
    A backlog with long tags counts as several (`weight_of`).
    """

    def __init__(self, most: int) -> None:
        self._backlogs: dict[Tags, tuple[Backlog, ...]] = {}
        self._owners: dict[Tags, int] = {}
        self._shares = FairShares[int, Tags](most)
        self.evicted: list[Tags] = []
        """Those that were let go of, and that the file may still have."""

    def note(self, tags: Tags, backlog: Backlog, service: int) -> None:
        """Take what is newer: the newest bucket wins, not the highest value, for a topic made anew counts from 0."""
        known = self._backlogs.get(tags, ())
        if not known or backlog.start > known[-1].start - RECENT_SECONDS:
            self._backlogs[tags] = _with(known, backlog)
        weight = 1 if tags in self._owners else weight_of(tags)
        for gone in self._shares.use(self._owners.setdefault(tags, service), tags, weight):
            del self._backlogs[gone], self._owners[gone]
            self.evicted.append(gone)

    def owner(self, tags: Tags) -> int | None:
        """Return the number of the service that a backlog belongs to; None where it is not known any more."""
        return self._owners.get(tags)

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


def put_offsets(
    connection: sqlite3.Connection, offsets: Iterable[tuple[tuple[Tags, int], int]], owner: Callable[[Tags], int | None]
) -> None:
    """Note offsets by tags and start; the highest wins. Those of backlogs without an owner are left out."""
    listed = [
        {"tags": encode(tags), "start": start, "value": min(value, (1 << 63) - 1), "service": service}
        for (tags, start), value in offsets
        if (service := owner(tags)) is not None
    ]
    connection.executemany("INSERT OR IGNORE INTO backlogs (tags, service) VALUES (:tags, :service)", listed)
    connection.executemany(
        "INSERT INTO offsets SELECT id, :start, :value FROM backlogs WHERE tags = :tags "
        "ON CONFLICT (backlog, start) DO UPDATE SET value = max(value, excluded.value)",
        listed,
    )


def forget_backlogs(connection: sqlite3.Connection, backlogs: Iterable[Tags]) -> None:
    """Let go of backlogs and their offsets."""
    named = [(encode(tags),) for tags in backlogs]
    connection.executemany("DELETE FROM offsets WHERE backlog = (SELECT id FROM backlogs WHERE tags = ?)", named)
    connection.executemany("DELETE FROM backlogs WHERE tags = ?", named)


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


def latest_offsets(connection: sqlite3.Connection) -> Iterator[tuple[Tags, Backlog, int]]:
    """Yield the latest offset of each backlog and its service (0 where unknown), those heard of longest ago first."""
    query = (
        "SELECT tags, start, value, coalesce(service, 0) FROM "
        "(SELECT backlog, max(start) AS start, value FROM offsets GROUP BY backlog) "
        "JOIN backlogs ON id = backlog ORDER BY start"
    )
    for tags, start, value, service in connection.execute(query):
        yield tuple(decode(tags)), Backlog(start, value), service


def forget_old_offsets(connection: sqlite3.Connection, oldest: int) -> None:
    """Let go of offsets that are older than `oldest`, and of backlogs that have none any more."""
    if connection.execute("DELETE FROM offsets WHERE start < ?", (oldest,)).rowcount:
        connection.execute("DELETE FROM backlogs WHERE NOT EXISTS (SELECT 1 FROM offsets WHERE backlog = backlogs.id)")


def thin_offsets(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Let go of all but the last offset of each minute in [first, last)."""
    connection.execute(
        "DELETE FROM offsets AS o WHERE start >= ? AND start < ? AND EXISTS ("
        "SELECT 1 FROM offsets AS later WHERE later.backlog = o.backlog "
        "AND later.start > o.start AND later.start < (o.start / 60 + 1) * 60)",
        (first, last),
    )


def forget_oldest_offsets(connection: sqlite3.Connection) -> int:
    """Let go of the oldest hour; return how many went."""
    query = "DELETE FROM offsets WHERE start < (SELECT min(start) FROM offsets) + 3600"
    return connection.execute(query).rowcount
