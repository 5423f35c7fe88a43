"""Finds in the store's file when a backlog passed an offset, however long ago, and what its offsets were since."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.msgpack import encode

from asyncdsm._internal.bounds import make_room
from asyncdsm.agent.store.offsets import Backlog, Tags

_MOST_CROSSINGS = 20_000
# How many are remembered.
_EARLIER_TOPIC = 2
# An offset that is higher by this factor than a later one is of a topic of the same name that was deleted since.
# Smaller steps back are acknowledgements that came in another order than their messages.

MOST_SEARCHES = 2_000
"""How many backlogs one answer looks for. The next answer knows them already, and finds others."""


class Passing(NamedTuple):
    """What to look for: when a backlog exceeded `value`. `newest` is its offset in the bucket `last`."""

    tags: Tags
    value: int
    newest: int
    last: int


class Crossing(NamedTuple):
    """The last offset of a backlog that is not above a value, and the next one, which is."""

    below: Backlog
    above: Backlog


def is_of_earlier_topic(offset: int, later: int) -> bool:
    """Return whether an offset is too high for the same topic to have a later offset."""
    return offset > _EARLIER_TOPIC * later


class CrossingCache:
    """Finds crossings, and remembers them: where a group stopped reading, the answer is always the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[Tags, int], Crossing] = {}

    def lookup(self, passing: Passing) -> Crossing | None:
        """Return a crossing that was found before."""
        found = self._known.get((passing.tags, passing.value))
        if found is None or found.above.start > passing.last or is_of_earlier_topic(found.above.value, passing.newest):
            return None
        return found

    def split_known(self, wanted: Iterable[Passing]) -> tuple[dict[Passing, Crossing], list[Passing]]:
        """Return the crossings that are remembered, and the passings to look for: `MOST_SEARCHES` at most."""
        found: dict[Passing, Crossing] = {}
        unknown: list[Passing] = []
        for passing in wanted:
            crossing = self.lookup(passing)
            if crossing is None:
                unknown.append(passing)
            else:
                found[passing] = crossing
        return found, unknown[:MOST_SEARCHES]

    def find(self, connection: sqlite3.Connection, passing: Passing) -> Crossing | None:
        """Return the crossing; None if the file does not reach back to it. Takes 5 µs, and 0.1 ms for an hour's lag."""
        found = _read_crossing(connection, passing)
        if found is not None:
            self.store(passing, found)
        return found

    def store(self, passing: Passing, crossing: Crossing) -> None:
        """Remember a crossing."""
        make_room(self._known, _MOST_CROSSINGS)
        self._known[passing.tags, passing.value] = crossing


def _read_crossing(connection: sqlite3.Connection, passing: Passing) -> Crossing | None:
    backlog = _backlog_id(connection, passing.tags)
    query = "SELECT start, value FROM offsets WHERE backlog = ? AND value >= 0 ORDER BY start LIMIT 1"
    first = connection.execute(query, (backlog,)).fetchone()
    if first is None or (passing.value < first[1] and not is_of_earlier_topic(first[1], passing.newest)):
        return None  # this spares a search through all offsets
    query = (
        "SELECT start, value FROM offsets WHERE backlog = ? AND start <= ? AND value >= 0 "
        "AND (value <= ? OR value > ?) ORDER BY start DESC LIMIT 1"
    )
    limits = (min(each, (1 << 63) - 1) for each in (passing.value, _EARLIER_TOPIC * passing.newest))
    below = connection.execute(query, (backlog, passing.last, *limits)).fetchone()
    if below is None:
        return None
    query = "SELECT start, value FROM offsets WHERE backlog = ? AND start > ? AND start <= ? ORDER BY start LIMIT 1"
    above = connection.execute(query, (backlog, below[0], passing.last)).fetchone()
    if above is None:
        return None
    start, value = below
    return Crossing(Backlog(start, value if value <= passing.value else -1), Backlog(*above))


def read_thinned(connection: sqlite3.Connection, tags: Tags, first: int, last: int, step: int) -> Iterator[Backlog]:
    """Yield the last offset of a backlog in each `step` seconds of [first, last)."""
    query = (
        "SELECT max(start), value FROM offsets WHERE backlog = ? AND start >= ? AND start < ? AND value >= 0 "
        "GROUP BY start / ? ORDER BY start"
    )
    for start, value in connection.execute(query, (_backlog_id(connection, tags), first, last, step)):
        yield Backlog(start, value)


def _backlog_id(connection: sqlite3.Connection, tags: Tags) -> int | None:
    found = connection.execute("SELECT id FROM backlogs WHERE tags = ?", (encode(tags),)).fetchone()
    return None if found is None else int(found[0])
