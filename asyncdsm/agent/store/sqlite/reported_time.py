"""The time of which the store's file has rows: rates count no time in which nothing was reported.

Nothing is reported while the agent does not run, and while its machine sleeps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

MEASURED_SECONDS = 600
"""Over how many seconds rates are taken; those of longer periods, over one period."""
LONGEST_SILENCE = 60
"""How many seconds of a silence count: services with little traffic are silent in between."""


class Column(NamedTuple):
    """A column with the times of rows, `a_second` units to a second. An index begins with it.

    Of rows that cover a period, it is the start of the period, which has `width` seconds.
    """

    table: str
    name: str
    width: int = 10
    a_second: int = 1
    where: str = "true"


class ReportedTime(NamedTuple):
    """Some of the last periods that rows were reported of: since when, and how many seconds count of the time since."""

    since: int
    seconds: float


def measure_reported_time(connection: sqlite3.Connection, column: Column, end: float, newest: float) -> ReportedTime:
    """Return of which time before `end` rates are to be taken; rows up to `newest`, which is excluded, count."""
    since, seconds = int(newest), 0.0
    for start in _starts_before(connection, column, newest):
        seconds += max(column.width, min(end - start, column.width + LONGEST_SILENCE))
        since = end = start
        if seconds >= MEASURED_SECONDS:
            break
    return ReportedTime(since, seconds)


def _starts_before(connection: sqlite3.Connection, column: Column, newest: float) -> Iterator[int]:
    """Yield the starts of the periods that there are rows of, the newest first. Each is looked up in the index."""
    table, name, width, a_second, where = column
    query = f"SELECT max({name}) FROM {table} WHERE {where} AND {name} < ?"  # noqa: S608  (constants)
    while True:
        found = connection.execute(query, (int(newest * a_second),)).fetchone()[0]
        if found is None:
            return
        start = found // a_second // width * width
        yield start
        newest = start
