"""Reads what ClickHouse has of a time range: rows, offsets, and when backlogs passed offsets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.identities import backlog_id
from asyncdsm.agent.store.clickhouse.periods import MINUTE, Period, Periods
from asyncdsm.agent.store.clickhouse.shared_state import SharedState
from asyncdsm.agent.store.clickhouse.sketch_columns import column_names, from_columns
from asyncdsm.agent.store.clickhouse.sum_cache import SumCache, SumVersion
from asyncdsm.agent.store.merger import Label, LabeledHistograms, Merger, Rows, by_point
from asyncdsm.agent.store.offset_search import Crossing, CrossingCache, Passing
from asyncdsm.agent.store.offsets import Backlog, Tags
from asyncdsm.agent.store.resolutions import RESOLUTIONS, Slice

_SEARCHES_AT_ONCE = 200
_LARGEST = (1 << 63) - 1


class ClickHouseReader:
    """Any thread may use it; times are whole buckets in seconds since the epoch."""

    def __init__(self, connection: Connection, database: str, state: SharedState) -> None:
        self._connection, self._db, self._state = connection, database, state
        self._crossings, self._sums = CrossingCache(), SumCache()

    def periods(self, first: int, last: int) -> Periods:
        """Return the periods that overlap [first, last)."""
        width = RESOLUTIONS[-1]
        rows = self._query(
            "SELECT width, toUnixTimestamp(start) AS at, sum(marks) AS m, max(rolled) AS r, "
            f"toFloat64(max(claimed)) AS c FROM {self._db}.periods WHERE width > 10 "
            f"AND start >= {at(first // width * width)} AND start < {at(-(last // -width) * width)} "
            "GROUP BY width, start"
        )
        known = (Period(row["width"], row["at"], row["m"], row["r"], row["c"]) for row in rows)
        return Periods(known, self._state.days)

    def merge_slices(
        self, first: int, last: int, label: Label, *, service: tuple[str, str] | None, coarsest: int, sketch: int | None
    ) -> LabeledHistograms:
        """Return the rows that start in [first, last), merged by label."""
        merger, periods = Merger(), self.periods(first, last)
        slices = periods.plan(first, last, coarsest)
        if label is by_point and sketch is None and service is None:
            for each in [each for each in slices if each.width > MINUTE]:  # rows of old minutes come without a roll-up
                slices.remove(each)
                merger.add(*self._read_sum(each, SumVersion(periods.rolled(each), self._state.registry.forgotten)))
        if slices:
            self._merge_rows(merger, slices, label, service=service, sketch=sketch)
        return merger.result()

    def _read_sum(self, rows: Slice, version: SumVersion) -> LabeledHistograms:
        """Return the sum of a slice by point, from the cache if it is there."""
        merged = self._sums.find_sum(rows, version)
        if merged is None:
            merger = Merger()
            self._merge_rows(merger, [rows], by_point, service=None, sketch=None)
            merged = merger.result()
            self._sums.keep_sum(rows, version, merged)
        return merged

    def _merge_rows(
        self,
        merger: Merger,
        slices: Sequence[Slice],
        label: Label,
        *,
        service: tuple[str, str] | None,
        sketch: int | None,
    ) -> None:
        columns = ", ".join(["toUnixTimestamp(start) AS at", "width", "point", *column_names(sketch)])
        query = f"SELECT {columns} FROM {self._db}.sketches FINAL WHERE ({within(slices)})"
        parameters = {}
        if service is not None:
            query += " AND service = %(service)s AND env = %(env)s"
            parameters = {"service": service[0], "env": service[1]}
        for batch in self._connection.query(query, parameters).to_batches():
            numbers = self._state.numbers_of(batch.column("point").to_numpy())
            starts = batch.column("at").to_numpy().astype(np.int64)
            widths = batch.column("width").to_numpy().astype(np.int64)
            rows = Rows(starts, numbers, from_columns(batch, sketch), widths)
            merger.add_rows(rows.select(numbers >= 0), label, sketch)

    def find_oldest(self, first: int) -> int | None:
        """Return the start of the oldest row that is not before `first`, or None without any."""
        query = f"SELECT toUnixTimestamp(min(start)) AS at, count() AS n FROM {self._db}.periods"
        row = self._query(f"{query} WHERE width = {MINUTE} AND start >= {at(first // MINUTE * MINUTE)}")[0]
        if not row["n"]:
            return None
        minute: int = row["at"]
        query = f"SELECT toUnixTimestamp(min(start)) AS at, count() AS n FROM {self._db}.sketches WHERE width = 10"
        row = self._query(f"{query} AND start >= {at(max(first, minute))} AND start < {at(minute + MINUTE)}")[0]
        return row["at"] if row["n"] else minute

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
        found, unknown = self._crossings.split_known(wanted)
        for begin in range(0, len(unknown), _SEARCHES_AT_ONCE):
            found.update(self._search(unknown[begin : begin + _SEARCHES_AT_ONCE]))
        return found

    def _search(self, wanted: Sequence[Passing]) -> dict[Passing, Crossing]:
        """Return the crossings of some backlogs: see `offset_search` for what counts as one."""
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
        return {wanted[row["number"]]: self._remember(wanted[row["number"]], row) for row in self._query(above)}

    def _remember(self, passing: Passing, row: dict[str, Any]) -> Crossing:
        value = row["below"] if row["below"] <= passing.value else -1
        crossing = Crossing(Backlog(row["below_at"], value), Backlog(row["above_at"], row["above"]))
        self._crossings.store(passing, crossing)
        return crossing

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


def at(moment: float) -> str:
    """Return a time in seconds since the epoch in ClickHouse's language, the nearest one that a column can have."""
    return f"toDateTime({min(max(0, int(moment)), (1 << 32) - 1)}, 'UTC')"


def within(slices: Iterable[Slice]) -> str:
    """Return the condition for rows of some slices."""
    return " OR ".join(
        f"width = {width} AND start >= {at(first)} AND start < {at(last)}" for width, first, last in slices
    )
