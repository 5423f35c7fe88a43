"""Offsets of backlogs over time, in memory and in the tables `backlogs` and `offsets` of the store's file.

A backlog is named by its tags. The store keeps its highest offset of each bucket, and later only the last offset of
each minute.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import NamedTuple

from msgspec.msgpack import decode, encode

from asyncdsm.agent.store.shares import FairShares, weigh_names

Tags = tuple[str, ...]
RECENT_SECONDS = 120
"""How long before the newest offset of a backlog its earlier offsets are kept in memory."""


class Backlog(NamedTuple):
    """The highest offset of a backlog in the bucket that starts at `start` (seconds since the epoch)."""

    start: int
    value: int


class LatestOffsets:
    """The latest offsets of each backlog, in memory. A backlog belongs to the service that reported it first.

    If the weights of their tags (`weigh_names`) exceed `most`, the least recently reported backlogs are evicted, but
    only those of services that have more than an equal share.
    """

    def __init__(self, most: int) -> None:
        self._backlogs: dict[Tags, tuple[Backlog, ...]] = {}
        self._owners: dict[Tags, int] = {}
        self._shares = FairShares[int, Tags](most)
        self.evicted: list[Tags] = []
        """Backlogs that were evicted and may still be in the file."""
        self.on_record: Callable[[Tags, Backlog], object] = lambda _, __: None
        """Is called with each offset that is recorded."""

    def record(self, tags: Tags, backlog: Backlog, service: int, latest: float = inf) -> None:
        """Record an offset that a service, given by its number, reported.

        The newest bucket counts, not the highest offset: a topic that is created again starts at 0. Buckets after
        `latest` are from a clock that was ahead: they do not count any more once an earlier one is reported.

        In whatever order offsets are recorded, the same ones are kept: those of the last two minutes (`RECENT_SECONDS`)
        before the newest, and the last one before these.
        """
        known = self._backlogs.get(tags, ())
        if known and known[-1].start > latest >= backlog.start:
            known = tuple(each for each in known if each.start <= latest)
        self._backlogs[tags] = _insert(known, backlog)
        self.on_record(tags, backlog)
        weight = 1 if tags in self._owners else weigh_names(tags)
        for evicted in self._shares.use(self._owners.setdefault(tags, service), tags, weight):
            del self._backlogs[evicted], self._owners[evicted]
            self.evicted.append(evicted)

    def owner(self, tags: Tags) -> int | None:
        """Return the number of the service that a backlog belongs to, or None for an unknown backlog."""
        return self._owners.get(tags)

    def owners(self) -> dict[Tags, int]:
        """Return the number of the service that each backlog belongs to."""
        return dict(self._owners)

    def values(self) -> dict[Tags, int]:
        """Return the latest offset of each backlog."""
        return {tags: backlogs[-1].value for tags, backlogs in self._backlogs.items()}

    def recent(self) -> list[tuple[Tags, tuple[Backlog, ...]]]:
        """Return tags and recent offsets of each backlog, the offsets in the order of their buckets."""
        return list(self._backlogs.items())


def _insert(known: tuple[Backlog, ...], backlog: Backlog) -> tuple[Backlog, ...]:
    """Return offsets with one more, in the order of their buckets, without those that are not recent any more."""
    by_start = dict(known)
    by_start[backlog.start] = max(backlog.value, by_start.get(backlog.start, backlog.value))
    ordered = sorted(by_start.items())
    oldest = ordered[-1][0] - RECENT_SECONDS
    while len(ordered) > 1 and ordered[1][0] <= oldest:  # one older offset stays: it was valid until the next one
        del ordered[0]
    return tuple(Backlog(*each) for each in ordered)


def write_offsets(
    connection: sqlite3.Connection, offsets: Iterable[tuple[tuple[Tags, int], int]], owner: Callable[[Tags], int | None]
) -> None:
    """Write offsets by tags and start; of two, the higher is kept. Backlogs without an owner are left out."""
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


def delete_backlogs(connection: sqlite3.Connection, backlogs: Iterable[Tags]) -> None:
    """Delete backlogs and their offsets."""
    rows = [(encode(tags),) for tags in backlogs]
    connection.executemany("DELETE FROM offsets WHERE backlog = (SELECT id FROM backlogs WHERE tags = ?)", rows)
    connection.executemany("DELETE FROM backlogs WHERE tags = ?", rows)


def read_offsets(connection: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[Tags, int, int]]:
    """Yield tags, start and value of offsets: the last one of each backlog before `first`, then those in [first, last).

    The latter are in order of time.
    """
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


def read_latest_offsets(connection: sqlite3.Connection) -> Iterator[tuple[Tags, Backlog, int]]:
    """Yield tags, offset and service (0 if unknown) of the offsets of each backlog that `LatestOffsets` keeps.

    The least recently reported backlog comes first, and its offsets are in order of time.
    """
    query = (
        "SELECT tags, offsets.start, value, owner FROM (SELECT id, tags, coalesce(service, 0) AS owner, "
        "(SELECT max(start) FROM offsets WHERE backlog = id) AS newest FROM backlogs) "
        "JOIN offsets ON backlog = id AND offsets.start >= coalesce("
        "(SELECT max(start) FROM offsets WHERE backlog = id AND start <= newest - ?), newest - ?) "
        "ORDER BY newest, id, offsets.start"
    )
    for tags, start, value, service in connection.execute(query, (RECENT_SECONDS, RECENT_SECONDS)):
        yield tuple(decode(tags)), Backlog(start, value), service


def delete_old_offsets(connection: sqlite3.Connection, oldest: int) -> None:
    """Delete offsets that are older than `oldest`, and backlogs without offsets."""
    if connection.execute("DELETE FROM offsets WHERE start < ?", (oldest,)).rowcount:
        connection.execute("DELETE FROM backlogs WHERE NOT EXISTS (SELECT 1 FROM offsets WHERE backlog = backlogs.id)")


def thin_offsets(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Delete all offsets in [first, last) but the last one of each minute."""
    connection.execute(
        "DELETE FROM offsets AS o WHERE start >= ? AND start < ? AND EXISTS ("
        "SELECT 1 FROM offsets AS later WHERE later.backlog = o.backlog "
        "AND later.start > o.start AND later.start < (o.start / 60 + 1) * 60)",
        (first, last),
    )


def delete_oldest_offsets(connection: sqlite3.Connection) -> int:
    """Delete the oldest hour of offsets, and return how many were deleted."""
    query = "DELETE FROM offsets WHERE start < (SELECT min(start) FROM offsets) + 3600"
    return connection.execute(query).rowcount
