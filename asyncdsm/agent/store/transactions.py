"""Business transactions in the store's file: which checkpoints each one passed, and when.

A transaction belongs to the service that reported it first. If there are too many, those that were seen longest ago are
deleted, but only those of services that have more than an equal share. Whoever uses these functions holds the store's
lock.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple

from asyncdsm.agent.store.reports import Report
from asyncdsm.agent.store.shares import equal_share

MOST_STEPS = 200
"""How many checkpoints of a transaction are kept; further ones are ignored."""
MOST_PLACES_OF_SERVICE, MOST_PLACES = 254, 20_000
"""How many names of checkpoints a service may have, as in a payload, and how many all services may have."""
MOST_PENDING = 100_000
"""How many checkpoints may wait in memory to be written."""
_BATCH_SIZE = 500
_SECOND_NS = 1_000_000_000
_MAX_AHEAD_SECONDS = 60
TRANSACTION_TABLES = (
    "CREATE TABLE IF NOT EXISTS places ("
    "id INTEGER PRIMARY KEY, service TEXT, env TEXT, checkpoint TEXT, UNIQUE (service, env, checkpoint))",
    "CREATE TABLE IF NOT EXISTS transactions ("
    "key INTEGER PRIMARY KEY, id TEXT UNIQUE, owner INTEGER, first INTEGER, last INTEGER, place INTEGER)",
    "CREATE INDEX IF NOT EXISTS transactions_by_last ON transactions (last)",
    "CREATE INDEX IF NOT EXISTS transactions_by_place ON transactions (place, last)",
    "CREATE TABLE IF NOT EXISTS steps (key INTEGER, time INTEGER, place INTEGER, PRIMARY KEY (key, time, place)) "
    "WITHOUT ROWID",
)
"""`places` has the names of checkpoints, `steps` when a transaction passed which. Times are in nanoseconds."""
_NEW_TRANSACTION = "INSERT OR IGNORE INTO transactions VALUES (NULL, :id, :owner, :time, :time, :place)"
_NEW_STEP = (
    "INSERT OR IGNORE INTO steps SELECT key, :time, :place FROM transactions "
    "WHERE id = :id AND (SELECT count(*) FROM steps WHERE key = transactions.key) < :most_steps"
)
_LAST_SEEN = (
    "UPDATE transactions SET first = min(first, :time), last = max(last, :time), "
    "place = iif(:time >= last, :place, place) WHERE id = :id"
)


class Place(NamedTuple):
    """A named checkpoint of a service."""

    service: str
    env: str
    checkpoint: str


class PendingStep(NamedTuple):
    """A transaction that passed a place, to be written. `owner` is the number of the service."""

    id: str
    place: Place
    time_ns: int
    owner: int


def accepted_steps(report: Report, owner: int, received: float, kept_seconds: int) -> Iterator[PendingStep]:
    """Yield the checkpoints of a payload that was received at a time in seconds from the service `owner`.

    A time that is too old is ignored; one that is far ahead comes from a wrong clock and counts as now.
    """
    now = int(received) * _SECOND_NS
    oldest, latest = now - kept_seconds * _SECOND_NS, now + _MAX_AHEAD_SECONDS * _SECOND_NS
    for transaction_id, checkpoint, time_ns in report.transactions:
        if time_ns >= oldest:
            place = Place(report.service, report.env, checkpoint)
            yield PendingStep(transaction_id, place, time_ns if time_ns <= latest else now, owner)


class TransactionStore:
    """What is known of the transactions in the file, and the checkpoints that wait to be written."""

    def __init__(self, connection: sqlite3.Connection, most: int) -> None:
        """Keep at most `most` transactions. Raises sqlite3.Error."""
        self.most: int = most
        self._pending = deque[PendingStep]()
        self._lacks_places = False
        self.restore(connection)

    def __len__(self) -> int:
        """Return how many checkpoints wait to be written."""
        return len(self._pending)

    def restore(self, connection: sqlite3.Connection) -> None:
        """Read again what the file has, after a transaction of the file was rolled back."""
        places = connection.execute("SELECT id, service, env, checkpoint FROM places")
        self._places: dict[Place, int] = {Place(*names): number for number, *names in places}
        self._places_of = Counter((place.service, place.env) for place in self._places)
        self._owners = Counter(dict(connection.execute("SELECT owner, count(*) FROM transactions GROUP BY owner")))

    def add(self, report: Report, owner: int, received: float, kept_seconds: int) -> None:
        """Take the checkpoints of a payload that was received at a time in seconds."""
        self._pending.extend(accepted_steps(report, owner, received, kept_seconds))

    def next_batch(self) -> list[PendingStep]:
        """Return some of the checkpoints that wait, the oldest first."""
        return list(islice(self._pending, _BATCH_SIZE))

    def forget_batch(self, batch: list[PendingStep]) -> None:
        """Forget a batch that was written and committed."""
        for _ in batch:
            self._pending.popleft()

    def write(self, connection: sqlite3.Connection, steps: Iterable[PendingStep]) -> None:
        """Write checkpoints; those that were written before change nothing. Raises sqlite3.Error."""
        rows = [
            {"id": step.id, "owner": step.owner, "time": step.time_ns, "place": place, "most_steps": MOST_STEPS}
            for step in steps
            if (place := self._find_place(connection, step.place)) is not None
        ]
        for owner, of_owner in groupby(rows, itemgetter("owner")):
            self._owners[owner] += connection.executemany(_NEW_TRANSACTION, of_owner).rowcount
        connection.executemany(_NEW_STEP, rows)
        connection.executemany(_LAST_SEEN, rows)

    def delete_old(self, connection: sqlite3.Connection, now: float, kept_seconds: int) -> int:
        """Delete some transactions that were seen last more than `kept_seconds` ago; return how many were deleted.

        If the clock is ahead, not everything is old: no more than an hour counts after what was seen last of all.
        """
        (newest,) = connection.execute("SELECT coalesce(max(last), 0) FROM transactions").fetchone()
        oldest = min(int(now) * _SECOND_NS, newest + 3600 * _SECOND_NS) - kept_seconds * _SECOND_NS
        return self._delete(connection, "SELECT key FROM transactions WHERE last < ? LIMIT ?", oldest, _BATCH_SIZE)

    def make_room(self, connection: sqlite3.Connection) -> int:
        """Delete some transactions if there are too many; return how many were deleted."""
        if self._owners.total() <= self.most:
            return 0
        # A hundredth more than necessary, so that not every new transaction needs a deletion.
        share = equal_share(self._owners.values(), self.most - self.most // 100)
        owner, count = max(self._owners.items(), key=lambda item: item[1])
        query = "SELECT key FROM transactions WHERE owner = ? ORDER BY last LIMIT ?"
        return self._delete(connection, query, owner, min(max(1, count - share), _BATCH_SIZE))

    def delete_unused_places(self, connection: sqlite3.Connection) -> None:
        """Delete the names of checkpoints that no transaction has passed, if there was no room for a new name."""
        if self._lacks_places:
            self._lacks_places = False
            connection.execute("DELETE FROM places WHERE id NOT IN (SELECT place FROM steps)")
            self.restore(connection)

    def _find_place(self, connection: sqlite3.Connection, place: Place) -> int | None:
        known = self._places.get(place)
        if known is not None:
            return known
        owner = place.service, place.env
        if len(self._places) >= MOST_PLACES or self._places_of[owner] >= MOST_PLACES_OF_SERVICE:
            self._lacks_places = True
            return None
        query = "INSERT INTO places (service, env, checkpoint) VALUES (?, ?, ?) RETURNING id"
        number: int = connection.execute(query, place).fetchone()[0]
        self._places[place] = number
        self._places_of[owner] += 1
        return number

    def _delete(self, connection: sqlite3.Connection, query: str, *values: int) -> int:
        keys = connection.execute(query, values).fetchall()
        connection.executemany("DELETE FROM steps WHERE key = ?", keys)
        for key in keys:
            (owner,) = connection.execute("DELETE FROM transactions WHERE key = ? RETURNING owner", key).fetchone()
            self._owners[owner] -= 1
        self._owners = +self._owners
        return len(keys)
