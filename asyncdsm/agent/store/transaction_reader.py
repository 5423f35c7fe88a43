"""Reads the business transactions of the store's file. Times are in nanoseconds since the epoch."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from asyncdsm.agent.store.transactions import Place

SAMPLED_PLACES, SAMPLED_TRANSACTIONS, SAMPLED_OLDEST = 200, 50, 25
"""At how many places transactions are sampled that were seen there last, and how many at each: the latest, and of the
others the oldest."""
MOST_SEARCHED = 10_000
"""Among how many of the latest transactions at a place those are searched that have passed a set of places."""
_PASSED = (
    "(SELECT group_concat(place) FROM (SELECT DISTINCT place FROM steps WHERE key = transactions.key ORDER BY place))"
)
"""The places that a transaction has passed, as `_write_set` writes them."""


class SeenTransaction(NamedTuple):
    """A transaction: its id, when it was seen first and last, and at which place last."""

    key: int
    id: str
    first: int
    last: int
    place: int


class Step(NamedTuple):
    """A transaction passed a place."""

    time: int
    place: int


class PlaceSample(NamedTuple):
    """Transactions that were seen last at one place: how many there are, and the steps of some of them.

    They are the latest, and of the others the oldest.
    """

    ended: int
    latest: list[list[Step]]
    oldest: list[list[Step]]


class TransactionReader:
    """Reads from one connection to the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def places(self) -> dict[int, Place]:
        """Return the places by their numbers."""
        rows = self._connection.execute("SELECT id, service, env, checkpoint FROM places")
        return {number: Place(*names) for number, *names in rows}

    def find(self, transaction_id: str) -> SeenTransaction | None:
        """Return the transaction with an id, None if none is known."""
        found = self._select("WHERE id = ?", transaction_id)
        return found[0] if found else None

    def latest(self, most: int) -> list[SeenTransaction]:
        """Return the transactions that were seen last, the latest first."""
        return self._select("ORDER BY last DESC LIMIT ?", most)

    def waiting(
        self,
        place: int,
        since: int,
        before: int,
        done_before: Mapping[frozenset[int], int],
        most: int,
        *,
        oldest_first: bool = False,
    ) -> list[SeenTransaction]:
        """Return the transactions that were seen last at a place, in [since, before); the latest first, or the oldest.

        Those that have passed just the places of a set in `done_before` are left out if they were seen last before its
        time.
        """
        condition, values = _write_waiting(place, since, before, done_before)
        return self._select(f"{condition} ORDER BY last {'ASC' if oldest_first else 'DESC'} LIMIT ?", *values, most)

    def count_waiting(self, place: int, since: int, before: int, done_before: Mapping[frozenset[int], int]) -> int:
        """Return how many such transactions there are."""
        condition, values = _write_waiting(place, since, before, done_before)
        return self._count_where(condition, *values)

    def count_passed(self, passed: frozenset[int], since: int, before: int) -> int:
        """Return how many transactions have passed just these places, and were seen last in [since, before)."""
        condition = f"WHERE place IN ({_marks(passed)}) AND last >= ? AND last < ? AND {_PASSED} = ?"
        return self._count_where(condition, *passed, since, before, _write_set(passed))

    def last_passed(self, passed: frozenset[int], before: int, most: int) -> list[int]:
        """Return when transactions that have passed just these places were seen last: the latest ones before a time."""
        query = (
            f"SELECT last FROM (SELECT key, last FROM transactions WHERE place = ? AND last < ? ORDER BY last DESC "  # noqa: S608  (constants)
            f"LIMIT {MOST_SEARCHED}) AS transactions WHERE {_PASSED} = ? ORDER BY last DESC LIMIT ?"
        )
        places = _write_set(passed)
        found = [self._connection.execute(query, (place, before, places, most)).fetchall() for place in passed]
        return sorted((last for rows in found for (last,) in rows), reverse=True)[:most]

    def places_passed(self, keys: Sequence[int]) -> dict[int, frozenset[int]]:
        """Return the places that each of some transactions has passed, by their keys."""
        query = f"SELECT key, place FROM steps WHERE key IN ({_marks(keys)})"  # noqa: S608  (question marks)
        passed = defaultdict[int, set[int]](set)
        for key, place in self._connection.execute(query, tuple(keys)):
            passed[key].add(place)
        return {key: frozenset(passed[key]) for key in keys}

    def count(self) -> int:
        """Return how many transactions there are."""
        return self._count_where("")

    def steps(self, key: int) -> list[Step]:
        """Return the steps of a transaction, in the order of their times."""
        query = "SELECT time, place FROM steps WHERE key = ? ORDER BY time, place"
        return [Step(*row) for row in self._connection.execute(query, (key,))]

    def sample(self, before: int) -> dict[int, PlaceSample]:
        """Return, by place, a sample of the transactions that were seen last there, before a time."""
        query = "SELECT place, count(*) FROM transactions WHERE last < ? GROUP BY place ORDER BY count(*) DESC LIMIT ?"
        counts = self._connection.execute(query, (before, SAMPLED_PLACES)).fetchall()
        return {place: PlaceSample(count, *self._chains_of(place, before)) for place, count in counts}

    def _chains_of(self, place: int, before: int) -> tuple[list[list[Step]], list[list[Step]]]:
        """Return the steps of the latest transactions that were seen last at a place, and of the oldest others."""
        latest = self._chains("DESC", place, before, SAMPLED_TRANSACTIONS)
        oldest = self._chains("ASC", place, before, SAMPLED_OLDEST)
        return list(latest.values()), [chain for key, chain in oldest.items() if key not in latest]

    def _chains(self, order: str, place: int, before: int, most: int) -> dict[int, list[Step]]:
        query = (
            "SELECT key, time, steps.place FROM steps JOIN (SELECT key FROM transactions WHERE place = ? AND last < ? "  # noqa: S608  (a constant)
            f"ORDER BY last {order} LIMIT ?) USING (key) ORDER BY key, time, steps.place"
        )
        chains = defaultdict[int, list[Step]](list)
        for key, time, passed in self._connection.execute(query, (place, before, most)):
            chains[key].append(Step(time, passed))
        return chains

    def _count_where(self, condition: str, *values: object) -> int:
        query = f"SELECT count(*) FROM transactions {condition}"  # noqa: S608  (a constant)
        return int(self._connection.execute(query, values).fetchone()[0])

    def _select(self, condition: str, *values: object) -> list[SeenTransaction]:
        query = f"SELECT key, id, first, last, place FROM transactions {condition}"  # noqa: S608  (a constant)
        return [SeenTransaction(*row) for row in self._connection.execute(query, values)]


def _write_waiting(
    place: int, since: int, before: int, done_before: Mapping[frozenset[int], int]
) -> tuple[str, list[object]]:
    """Return the condition of `waiting` and its values."""
    condition, values = "WHERE place = ? AND last >= ? AND last < ?", list[object]((place, since, before))
    if done_before:
        condition += f" AND last >= CASE {_PASSED} {'WHEN ? THEN ? ' * len(done_before)}ELSE 0 END"
        values += [value for passed, time in done_before.items() for value in (_write_set(passed), time)]
    return condition, values


def _write_set(places: Collection[int]) -> str:
    return ",".join(map(str, sorted(places)))


def _marks(values: Collection[int]) -> str:
    return ", ".join("?" * len(values))
