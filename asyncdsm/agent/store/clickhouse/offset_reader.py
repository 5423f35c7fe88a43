"""Reads the offsets of a time range, and when backlogs passed offsets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.identities import backlog_id
from asyncdsm.agent.store.clickhouse.row_reader import at
from asyncdsm.agent.store.clickhouse.shared_state import SharedState
from asyncdsm.agent.store.offset_search import Crossing, CrossingCache, Passing
from asyncdsm.agent.store.offsets import Backlog, Tags

_SEARCHES_AT_ONCE = 200
_LARGEST = (1 << 63) - 1


class OffsetReader:
    """Any thread may use it; times are whole buckets in seconds since the epoch. Raises what a Connection raises."""

    def __init__(self, connection: Connection, database: str, state: SharedState) -> None:
        self._connection, self._db, self._state = connection, database, state
        self._crossings = CrossingCache()
        state.latest.on_record = self._crossings.note_offset

    def read_offsets(self, first: int, last: int) -> list[tuple[Tags, int, int]]:
        """Return tags, start and value of the offsets in [first, last) and of the last one before, in order of time."""
        before = (
            f"SELECT backlog, toUnixTimestamp(max(start)) AS at, argMax(value, (start, value)) AS value "
            f"FROM {self._db}.offsets WHERE start < {at(first)} GROUP BY backlog"
        )
        within_range = (
            f"SELECT backlog, toUnixTimestamp(start) AS at, max(value) AS value FROM {self._db}.offsets "
            f"WHERE start >= {at(first)} AND start < {at(last)} GROUP BY backlog, start"
        )
        rows = sorted((*self._query(before), *self._query(within_range)), key=lambda row: row["at"])
        tags = self._state.known_tags(row["backlog"] for row in rows)
        return [(tags[row["backlog"]], row["at"], row["value"]) for row in rows if row["backlog"] in tags]

    def read_thinned(self, tags: Tags, first: int, last: int, step: int) -> list[Backlog]:
        """Return the last offset of a backlog in each `step` seconds of [first, last)."""
        query = (
            f"SELECT toUnixTimestamp(max(start)) AS at, argMax(value, (start, value)) AS taken FROM {self._db}.offsets "
            f"WHERE backlog = {backlog_id(tags)} AND start >= {at(first)} AND start < {at(last)} AND value >= 0 "
            f"GROUP BY intDiv(toUnixTimestamp(start), {int(step)}) ORDER BY at"
        )
        return [Backlog(row["at"], row["taken"]) for row in self._query(query)]

    def search_crossings(self, wanted: Iterable[Passing]) -> dict[Passing, Crossing]:
        """Return the crossings that ClickHouse reaches back to.

        What was found before is not read again; of the rest, only the first `MOST_SEARCHES` are looked for.
        """
        with self._crossings.search(wanted) as search:
            for begin in range(0, len(search.unknown), _SEARCHES_AT_ONCE):
                for passing, crossing in self._search(search.unknown[begin : begin + _SEARCHES_AT_ONCE]):
                    search.add(passing, crossing)
            return search.found

    def _search(self, wanted: Sequence[Passing]) -> Iterator[tuple[Passing, Crossing]]:
        """Yield the crossings of some backlogs: see `offset_search` for what counts as one."""
        searched = [
            (number, backlog_id(each.tags), min(each.value, _LARGEST), min(2 * each.newest, _LARGEST), each.last)
            for number, each in enumerate(wanted)
        ]
        below = (
            "SELECT number, argMin(value, start) AS first, "
            "maxIf(start, start <= until AND (value <= wanted OR value > limit)) AS below_at, "
            "argMaxIf(value, start, start <= until AND (value <= wanted OR value > limit)) AS below, "
            "countIf(start <= until AND (value <= wanted OR value > limit)) AS n, "
            f"any(wanted) AS w, any(limit) AS l, any(until) AS u, any(backlog) AS b FROM {self._joined(searched)} "
            "WHERE value >= 0 GROUP BY number HAVING n > 0 AND (w >= first OR first > l)"
        )
        above = (
            f"SELECT s.number AS number, min(o.start) AS above_at, argMin(o.value, o.start) AS above, "
            f"any(s.below_at) AS below_at, any(s.below) AS below FROM ({below}) AS s "
            f"JOIN ({self._by_backlog(searched)}) AS o ON o.backlog = s.b "
            "WHERE o.start > s.below_at AND o.start <= s.u GROUP BY number"
        )
        for row in self._query(above):
            passing = wanted[row["number"]]
            value = row["below"] if row["below"] <= passing.value else -1
            yield passing, Crossing(Backlog(row["below_at"], value), Backlog(row["above_at"], row["above"]))

    def _by_backlog(self, searched: Sequence[tuple[int, ...]]) -> str:
        backlogs = ", ".join(sorted({str(row[1]) for row in searched}))
        return (
            "SELECT backlog, toUnixTimestamp(start) AS start, max(value) AS value "
            f"FROM {self._db}.offsets WHERE backlog IN ({backlogs}) GROUP BY backlog, start"
        )

    def _joined(self, searched: Sequence[tuple[int, ...]]) -> str:
        rows = ", ".join(map(str, searched))
        listed = (
            "SELECT w.1 AS number, w.2 AS backlog, w.3 AS wanted, w.4 AS limit, w.5 AS until "
            f"FROM (SELECT arrayJoin([{rows}]::Array(Tuple(UInt32, UInt64, Int64, Int64, Int64))) AS w)"
        )
        return f"({listed}) AS searched JOIN ({self._by_backlog(searched)}) AS taken USING (backlog)"

    def _query(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._connection.query(query).to_pylist()
        return rows
