"""Reads the business transactions of ClickHouse. Times are in nanoseconds since the epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.transaction_reader import (
    SAMPLED_OLDEST,
    SAMPLED_PLACES,
    SAMPLED_TRANSACTIONS,
    PlaceSample,
    SeenTransaction,
    Step,
)
from asyncdsm.agent.store.transactions import MOST_PLACES, MOST_PLACES_OF_SERVICE, MOST_STEPS, Place

_PLACE = "(service, env, checkpoint)"


class ClickHouseTransactionReader:
    """Reads for one answer: it numbers places and transactions on its own."""

    def __init__(self, connection: Connection, database: str, oldest: int) -> None:
        """Leave out transactions that were seen last before `oldest`."""
        self._connection, self._db = connection, database
        self._seen = (
            f"(SELECT id, min(toUnixTimestamp64Nano(time)) AS first, max(toUnixTimestamp64Nano(time)) AS last, "
            f"argMax({_PLACE}, (time, {_PLACE})) AS place, "
            f"groupUniqArray({_PLACE}) AS passed FROM {database}.steps GROUP BY id HAVING last >= {oldest})"
        )
        query = (
            f"SELECT service, env, checkpoint FROM {database}.steps GROUP BY service, env, checkpoint "
            f"ORDER BY max(time) DESC LIMIT {MOST_PLACES_OF_SERVICE} BY service, env LIMIT {MOST_PLACES}"
        )
        places = sorted(Place(row["service"], row["env"], row["checkpoint"]) for row in self._query(query))
        self._places = dict(enumerate(places, 1))
        self._numbers = {place: number for number, place in self._places.items()}
        self._ids: list[str] = []

    def places(self) -> dict[int, Place]:
        """Return the places by their numbers."""
        return self._places

    def find(self, transaction_id: str) -> SeenTransaction | None:
        """Return the transaction with an id, None if none is known."""
        found = self._select("WHERE id = %(id)s", id=transaction_id)
        return found[0] if found else None

    def latest(self, most: int) -> list[SeenTransaction]:
        """Return the transactions that were seen last, the latest first."""
        return self._select(f"ORDER BY last DESC LIMIT {most}")

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
        condition, values = self._write_waiting(place, since, before, done_before)
        order = "ASC" if oldest_first else "DESC"
        return self._select(f"WHERE {condition} ORDER BY last {order} LIMIT {most}", **values)

    def count_waiting(self, place: int, since: int, before: int, done_before: Mapping[frozenset[int], int]) -> int:
        """Return how many such transactions there are."""
        condition, values = self._write_waiting(place, since, before, done_before)
        return self._count_where(f"WHERE {condition}", **values)

    def count_passed(self, passed: frozenset[int], since: int, before: int) -> int:
        """Return how many transactions have passed just these places, and were seen last in [since, before)."""
        condition = f"WHERE last >= {since} AND last < {before} AND {_write_passed(passed)}"
        return self._count_where(condition, **self._names_of(passed))

    def last_passed(self, passed: frozenset[int], before: int, most: int) -> list[int]:
        """Return when transactions that have passed just these places were seen last: the latest ones before a time."""
        query = f"SELECT last FROM {self._seen} WHERE last < {before} AND {_write_passed(passed)}"
        rows = self._query(f"{query} ORDER BY last DESC LIMIT {most}", **self._names_of(passed))
        return [row["last"] for row in rows]

    def places_passed(self, keys: Sequence[int]) -> dict[int, frozenset[int]]:
        """Return the places that each of some transactions has passed, by their keys."""
        ids = {f"id{key}": self._ids[key] for key in keys}
        marks = ", ".join(f"%({name})s" for name in ids)
        query = f"SELECT DISTINCT id, service, env, checkpoint FROM {self._db}.steps WHERE id IN ({marks})"
        passed = defaultdict[str, set[int]](set)
        for row in self._query(query, **ids) if ids else ():
            passed[row["id"]].add(self._number(row))
        return {key: frozenset(passed[self._ids[key]]) for key in keys}

    def count(self) -> int:
        """Return how many transactions there are."""
        return self._count_where("")

    def steps(self, key: int) -> list[Step]:
        """Return the steps of a transaction, in the order of their times."""
        query = f"SELECT {_STEP} FROM {self._db}.steps FINAL WHERE id = %(id)s ORDER BY at, service, env, checkpoint"
        rows = self._query(f"{query} LIMIT {MOST_STEPS}", id=self._ids[key])
        return [Step(row["at"], self._number(row)) for row in rows]

    def sample(self, before: int) -> dict[int, PlaceSample]:
        """Return, by place, a sample of the transactions that were seen last there, before a time."""
        counts = self._query(
            f"SELECT place.1 AS service, place.2 AS env, place.3 AS checkpoint, count() AS n FROM {self._seen} "
            f"WHERE last < {before} GROUP BY place ORDER BY n DESC LIMIT {SAMPLED_PLACES}"
        )
        latest = self._chains("DESC", before, SAMPLED_TRANSACTIONS)
        oldest = self._chains("ASC", before, SAMPLED_OLDEST)
        found = [(self._number(row), row["n"]) for row in counts]
        return {
            place: PlaceSample(
                count,
                list(latest[place].values()),
                [chain for key, chain in oldest[place].items() if key not in latest[place]],
            )
            for place, count in found
        }

    def _chains(self, order: str, before: int, most: int) -> dict[int, dict[str, list[Step]]]:
        """Return, by place, the steps of some transactions that were seen last there."""
        chosen = f"SELECT id, place FROM {self._seen} WHERE last < {before} ORDER BY last {order} LIMIT {most} BY place"
        chains = defaultdict[int, dict[str, list[Step]]](lambda: defaultdict(list))
        query = (
            f"SELECT chosen.place.1 AS s, chosen.place.2 AS e, chosen.place.3 AS c, chosen.id AS id, {_STEP} "
            f"FROM ({chosen}) AS chosen JOIN (SELECT * FROM {self._db}.steps FINAL) AS steps ON steps.id = chosen.id "
            "ORDER BY at, service, env, checkpoint"
        )
        for row in self._query(query):
            place = self._number({"service": row["s"], "env": row["e"], "checkpoint": row["c"]})
            chains[place][row["id"]].append(Step(row["at"], self._number(row)))
        return chains

    def _write_waiting(
        self, place: int, since: int, before: int, done_before: Mapping[frozenset[int], int]
    ) -> tuple[str, dict[str, str]]:
        """Return the condition of `waiting` and its values."""
        values = self._at(place) | self._names_of(frozenset().union(*done_before))
        done = "".join(f"{_write_passed(passed)}, {time}, " for passed, time in done_before.items())
        after = f" AND last >= multiIf({done}0)" if done else ""
        return f"{_AT_PLACE} AND last >= {since} AND last < {before}{after}", values

    def _names_of(self, places: frozenset[int]) -> dict[str, str]:
        """Return the values of what `_write_passed` writes."""
        return {f"{name}{place}": value for place in places for name, value in self._at(place).items()}

    def _count_where(self, condition: str, **values: str) -> int:
        return int(self._query(f"SELECT count() AS n FROM {self._seen} {condition}", **values)[0]["n"])

    def _select(self, condition: str, **values: str) -> list[SeenTransaction]:
        query = f"SELECT id, first, last, place.1 AS service, place.2 AS env, place.3 AS checkpoint FROM {self._seen}"
        found: list[SeenTransaction] = []
        for row in self._query(f"{query} {condition}", **values):
            found.append(SeenTransaction(len(self._ids), row["id"], row["first"], row["last"], self._number(row)))
            self._ids.append(row["id"])
        return found

    def _number(self, row: dict[str, Any]) -> int:
        """Return the number of a place. A new one may have been passed since the places were read."""
        place = Place(row["service"], row["env"], row["checkpoint"])
        number = self._numbers.setdefault(place, len(self._numbers) + 1)
        self._places[number] = place
        return number

    def _at(self, place: int) -> dict[str, str]:
        return self._places[place]._asdict()

    def _query(self, query: str, **values: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._connection.query(query, values).to_pylist()
        return rows


_AT_PLACE = "place = (%(service)s, %(env)s, %(checkpoint)s)"
_STEP = "toUnixTimestamp64Nano(time) AS at, service, env, checkpoint"


def _write_passed(places: Collection[int]) -> str:
    """Return the condition that a transaction has passed just these places."""
    names = ", ".join(f"(%(service{place})s, %(env{place})s, %(checkpoint{place})s)" for place in places)
    return f"(length(passed) = {len(places)} AND hasAll(passed, [{names}]))"
