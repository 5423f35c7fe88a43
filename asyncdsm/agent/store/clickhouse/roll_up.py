"""Rolls up: minutes out of ten seconds, then tens of minutes, then hours, by ClickHouse itself.

Any agent may do it, and two at once do no harm, since the later row of a point and period replaces the earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pyarrow as pa

from asyncdsm.agent.store.clickhouse.batch import MILLISECONDS, SECONDS, rows_of
from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.periods import Period
from asyncdsm.agent.store.clickhouse.reader import ClickHouseReader, at, within
from asyncdsm.agent.store.clickhouse.shared_state import SharedState
from asyncdsm.agent.store.limits import DETAIL_SECONDS
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, Slice

MOST_AT_ONCE = 60
"""How many periods are rolled up by one statement."""
DAY = 86_400


class RollUp:
    """The upkeep of the tables, a part of which each call does. One thread at a time may use it."""

    def __init__(
        self, connection: Connection, database: str, cluster: str, reader: ClickHouseReader, state: SharedState
    ) -> None:
        self._connection, self._db, self._reader, self._state = connection, database, reader, state
        self._local = "sketches_local" if cluster else "sketches"
        self._where = f" ON CLUSTER {cluster}" if cluster else ""

    def run(self, now: float, kept_seconds: int) -> None:
        """Roll up what is due, and drop the rows of ten seconds of past days."""
        for finer, width in pairwise(RESOLUTIONS):
            due = self._reader.periods(int(now) - kept_seconds, int(now)).due(width, now)
            for begin in range(0, len(due), MOST_AT_ONCE):
                self._roll_up(finer, width, due[begin : begin + MOST_AT_ONCE], now)
        self._drop_detail(self.forget_time(now), kept_seconds)

    def forget_time(self, now: float) -> float:
        """Return the time that decides what is old: if the clock is ahead, an hour after the newest row at most."""
        return min(now, self._state.newest + 3600)

    def _roll_up(self, finer: int, width: int, starts: Sequence[int], now: float) -> None:
        self.write([Period(width, start, claimed=now) for start in starts])
        sums = [f"sumMap({name}_bins, {name}_counts) AS {name}" for name in ("edge", "pathway", "size")]
        arrays = ", ".join(f"{name}.1, {name}.2" for name in ("edge", "pathway", "size"))
        columns = ", ".join(f"{name}_bins, {name}_counts" for name in ("edge", "pathway", "size"))
        self._connection.command(
            f"INSERT INTO {self._db}.sketches (width, start, service, env, point, payload, {columns}) "
            f"SELECT {width}, period, service, env, point, 0, {arrays} FROM ("
            f"SELECT toStartOfInterval(start, INTERVAL {width} SECOND, 'UTC') AS period, service, env, point, "
            f"{', '.join(sums)} FROM {self._db}.sketches FINAL "
            f"WHERE {within(Slice(finer, start, start + width) for start in starts)} "
            "GROUP BY period, service, env, point)"
        )
        rolled = [Period(width, start, rolled=now) for start in starts]
        if width != RESOLUTIONS[-1]:
            coarser = RESOLUTIONS[RESOLUTIONS.index(width) + 1]
            rolled += [Period(coarser, start, marked=now) for start in {start // coarser * coarser for start in starts}]
        self.write(rolled)

    def _drop_detail(self, now: float, kept_seconds: int) -> None:
        """Drop the rows of ten seconds of days that ended more than a day ago, once all of them are rolled up."""
        midnight = int(now - DETAIL_SECONDS) // DAY * DAY
        first = max(self._state.detail_since, int(now) - kept_seconds)
        if first < midnight:
            periods = self._reader.periods(first, midnight)
            if any(each.width == BUCKET_SECONDS for each in periods.plan(first, midnight, RESOLUTIONS[1])):
                return
            self.write([Period(BUCKET_SECONDS, midnight, marked=now)])
            self._state.detail_since = midnight
            return  # rows that were under way are dropped the next time
        old = self._connection.query(
            f"SELECT DISTINCT toString(toDate(start)) AS day FROM {self._db}.sketches "
            f"WHERE width = {BUCKET_SECONDS} AND start < {at(self._state.detail_since)}"
        )
        for row in old.to_pylist():
            partition = f"({BUCKET_SECONDS}, '{row['day']}')"
            self._connection.command(f"ALTER TABLE {self._db}.{self._local}{self._where} DROP PARTITION {partition}")

    def write(self, periods: Sequence[Period]) -> None:
        """Write marks, claims and roll-ups of periods."""
        self._connection.insert(
            "periods", rows_of(_COLUMNS, [(width, start, *_milliseconds(times)) for width, start, *times in periods])
        )


def _milliseconds(times: Sequence[float]) -> list[int]:
    return [round(time * 1000) for time in times]


_COLUMNS: dict[str, pa.DataType] = {
    "width": pa.uint16(),
    "start": SECONDS,
    "marked": MILLISECONDS,
    "claimed": MILLISECONDS,
    "rolled": MILLISECONDS,
}
