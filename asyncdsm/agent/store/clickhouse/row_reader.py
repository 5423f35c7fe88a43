"""Reads rows of histograms, and which periods have any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.periods import MINUTE, Period, Periods
from asyncdsm.agent.store.clickhouse.shared_state import SharedState
from asyncdsm.agent.store.clickhouse.sketch_columns import column_names, from_columns
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.resolutions import RESOLUTIONS, Slice

ROWS_AT_ONCE = 200_000
"""How many rows a query reads, roughly: some 200 MB, in a fraction of the time that a query has."""


class RowReader:
    """Any thread may use it; times are whole buckets in seconds since the epoch. Raises what a Connection raises."""

    def __init__(self, connection: Connection, database: str, state: SharedState) -> None:
        self._connection, self._db, self._state = connection, database, state

    def periods(self, first: int, last: int) -> Periods:
        """Return the periods that overlap [first, last)."""
        width = RESOLUTIONS[-1]
        rows = self._list_rows(
            "SELECT width, toUnixTimestamp(start) AS at, sum(marks) AS m, max(rolled) AS r, "
            f"toFloat64(max(claimed)) AS c FROM {self._db}.periods WHERE width > 10 "
            f"AND start >= {at(first // width * width)} AND start < {at(-(last // -width) * width)} "
            "GROUP BY width, start"
        )
        known = (Period(row["width"], row["at"], row["m"], row["r"], row["c"]) for row in rows)
        return Periods(known, self._state.days)

    def split(self, slices: Iterable[Slice]) -> Iterator[list[Slice]]:
        """Yield the buckets, or periods that are rolled up, of some slices: as many at once as a query may read."""
        buckets = [
            Slice(each.width, start, start + each.width)
            for each in slices
            for start in range(each.first, each.last, each.width)
        ]
        at_once = max(1, ROWS_AT_ONCE // max(1, len(self._state.registry.keys)))
        for begin in range(0, len(buckets), at_once):
            yield buckets[begin : begin + at_once]

    def read_rows(
        self, slices: Iterable[Slice], *, service: tuple[str, str] | None = None, sketch: int | None = None
    ) -> Iterator[Rows]:
        """Yield the rows of some slices, of all services or one, with all histograms or one."""
        for batch in self._read_batches(slices, service, sketch):
            yield self._rows_of(batch, sketch)

    def read_by_start(self, slices: Iterable[Slice]) -> Iterator[tuple[int, Rows]]:
        """Yield the rows of some slices with their start. A start may come again, with further rows.

        It is one query: give it what `split` yields.
        """
        for unordered in self._read_batches(_join(slices), None, None):
            order = np.argsort(unordered.column("at").to_numpy(), kind="stable")
            batch = unordered.take(pa.array(order))
            starts = batch.column("at").to_numpy().astype(np.int64)
            ends = [*(np.flatnonzero(np.diff(starts)) + 1).tolist(), len(starts)]
            for begin, end in pairwise([0, *ends]):
                yield int(starts[begin]), self._rows_of(batch.slice(begin, end - begin), None)

    def find_oldest(self, first: int) -> int | None:
        """Return the start of the oldest row that is not before `first`, or None without any."""
        query = f"SELECT toUnixTimestamp(min(start)) AS at, count() AS n FROM {self._db}.periods"
        row = self._list_rows(f"{query} WHERE width = {MINUTE} AND start >= {at(first // MINUTE * MINUTE)}")[0]
        if not row["n"]:
            return None
        minute: int = row["at"]
        query = f"SELECT toUnixTimestamp(min(start)) AS at, count() AS n FROM {self._db}.sketches WHERE width = 10"
        row = self._list_rows(f"{query} AND start >= {at(max(first, minute))} AND start < {at(minute + MINUTE)}")[0]
        return row["at"] if row["n"] else minute

    def _read_batches(
        self, slices: Iterable[Slice], service: tuple[str, str] | None, sketch: int | None
    ) -> Iterator[pa.RecordBatch]:
        condition = within(slices)
        if not condition:
            return
        columns = ", ".join(["toUnixTimestamp(start) AS at", "width", "point", *column_names(sketch)])
        query = f"SELECT {columns} FROM {self._db}.sketches FINAL WHERE ({condition})"
        parameters = {}
        if service is not None:
            query += " AND service = %(service)s AND env = %(env)s"
            parameters = {"service": service[0], "env": service[1]}
        yield from (batch for batch in self._connection.query(query, parameters).to_batches() if batch.num_rows)

    def _rows_of(self, batch: pa.RecordBatch, sketch: int | None) -> Rows:
        numbers = self._state.numbers_of(batch.column("point").to_numpy())
        starts, widths = (batch.column(name).to_numpy().astype(np.int64) for name in ("at", "width"))
        return Rows(starts, numbers, from_columns(batch, sketch), widths).select(numbers >= 0)

    def _list_rows(self, query: str) -> list[dict[str, Any]]:
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


def _join(slices: Iterable[Slice]) -> list[Slice]:
    """Return slices with those joined that are next to each other."""
    joined: list[Slice] = []
    for each in slices:
        if joined and joined[-1].width == each.width and joined[-1].last == each.first:
            joined.append(Slice(each.width, joined.pop().first, each.last))
        else:
            joined.append(each)
    return joined
