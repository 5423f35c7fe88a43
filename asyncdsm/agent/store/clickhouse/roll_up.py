"""Rolls up: minutes out of ten seconds, then tens of minutes, then hours, by ClickHouse itself.

Any agent may do it, and two at once do no harm: of two rows of a point and period, the one with more marks counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from secrets import randbits

import pyarrow as pa

from asyncdsm.agent.store.clickhouse.batch import MILLISECONDS, SECONDS, rows_of
from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.periods import Days, Period, Watch
from asyncdsm.agent.store.clickhouse.row_reader import RowReader, at, within
from asyncdsm.agent.store.clickhouse.shared_state import SharedState
from asyncdsm.agent.store.clickhouse.sketch_columns import SKETCHES
from asyncdsm.agent.store.clickhouse.statement_size import STATEMENT_SECONDS, Portion, StatementSize
from asyncdsm.agent.store.limits import DETAIL_SECONDS
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, Slice
from asyncdsm.errors import StoreLimitError

DROP_SECONDS = 600
"""How long after agents were told not to write rows of ten seconds before a midnight those that are there are dropped.
An insertion that began before ends sooner, and its rows are rolled up."""
DAY = 86_400


class RollUp:
    """The upkeep of the tables, a part of which each call does. One thread at a time may use it."""

    def __init__(
        self,
        connection: Connection,
        database: str,
        cluster: str,
        rows: RowReader,
        state: SharedState,
        *,
        ticks: Callable[[], float],
    ) -> None:
        self._connection, self._db, self._rows, self._state = connection, database, rows, state
        self._local = "sketches_local" if cluster else "sketches"
        self._where = f" ON CLUSTER {cluster}" if cluster else ""
        self._ticks, self._watch = ticks, Watch(ticks)
        self._sizes = {width: StatementSize(ticks) for width in RESOLUTIONS[1:]}

    def run(self, now: float, kept_seconds: int) -> None:
        """Roll up what is due, and drop the rows of ten seconds of past days."""
        self._state.read_days()
        for finer, width in pairwise(RESOLUTIONS):
            stale = self._rows.periods(int(now) - kept_seconds, int(now)).due(width, now)
            self._roll_up(finer, width, self._watch.settled(width, stale), now)
        self._drop_detail(self.forget_time(now), kept_seconds)

    def forget_time(self, now: float) -> float:
        """Return the time that decides what is old: not later than ClickHouse's, nor an hour after the newest row."""
        return min(now, self._state.newest + 3600, self._state.server_now)

    def _roll_up(self, finer: int, width: int, due: Sequence[Period], now: float) -> None:
        """Roll up some periods, as many at once as fit. What is too large for ClickHouse is tried at once with less.

        Raises what a Connection raises. The periods that failed stay claimed, so that the next calls do others.
        """
        began = self._ticks()
        while due:
            tried_at = now + self._ticks() - began
            portion = self._sizes[width].next_portion(len(due))
            periods = due[: portion.periods]
            self.write([Period(width, each.start, claimed=tried_at) for each in periods])
            try:
                self._sum_rows(finer, width, periods, portion)
            except StoreLimitError:
                if portion.is_smallest:
                    raise
                continue
            self._write_rolled(width, periods)
            due = due[portion.periods :]

    def _sum_rows(self, finer: int, width: int, periods: Sequence[Period], portion: Portion) -> None:
        """Write the rows of some periods, part by part.

        If a part fails, rows of the parts before it stay. They count for nothing until the periods are rolled up, and
        then rows of the same points have replaced them, which have at least as many marks.
        """
        columns = ", ".join(f"{name}_bins, {name}_counts" for name in SKETCHES)
        into = f"{self._db}.sketches (width, start, service, env, point, payload, marks, {columns})"
        for part in range(portion.parts):
            with self._sizes[width].fit(portion):
                select = self._select_sums(finer, width, periods, f"modulo(point, {portion.parts}) = {part}")
                self._connection.command(f"INSERT INTO {into} {select}", STATEMENT_SECONDS)

    def _select_sums(self, finer: int, width: int, periods: Sequence[Period], chosen: str) -> str:
        """Return the query of the sums of some periods, of the points that a condition chooses."""
        sums = ", ".join(f"sumMap({name}_bins, {name}_counts) AS {name}" for name in SKETCHES)
        arrays = ", ".join(f"{name}.1, {name}.2" for name in SKETCHES)
        starts, marks = [each.start for each in periods], [each.marks for each in periods]
        return (
            f"SELECT {width}, period, service, env, point, 0, "
            f"transform(toUnixTimestamp(period), {starts}::Array(UInt32), {marks}::Array(UInt64), toUInt64(0)), "
            f"{arrays} FROM ("
            f"SELECT toStartOfInterval(start, INTERVAL {width} SECOND, 'UTC') AS period, service, env, point, {sums} "
            f"FROM {self._db}.sketches FINAL "
            f"WHERE ({within(Slice(finer, start, start + width) for start in starts)}) AND {chosen} "
            "GROUP BY period, service, env, point)"
        )

    def _write_rolled(self, width: int, periods: Sequence[Period]) -> None:
        rolled = [Period(width, each.start, rolled=each.marks) for each in periods]
        if width != RESOLUTIONS[-1]:
            rolled += mark(RESOLUTIONS[RESOLUTIONS.index(width) + 1], (each.start for each in periods))
        self.write(rolled)

    def _drop_detail(self, now: float, kept_seconds: int) -> None:
        """Drop the rows of ten seconds of days that ended more than a day ago, once all of them are rolled up."""
        midnight, days = int(now - DETAIL_SECONDS) // DAY * DAY, self._state.days
        first = max(days.detail, int(now) - kept_seconds)
        if first < midnight:
            periods = self._rows.periods(first, midnight)
            if not any(each.width == BUCKET_SECONDS for each in periods.plan(first, midnight, RESOLUTIONS[1])):
                self.write([Period(BUCKET_SECONDS, midnight)])
                self._state.read_days()
        elif self._watch.settled(BUCKET_SECONDS, [Period(BUCKET_SECONDS, days.detail)], DROP_SECONDS):
            self._drop_days(days)

    def _drop_days(self, days: Days) -> None:
        old = self._connection.query(
            "SELECT DISTINCT toString(toDate(start)) AS day, toUnixTimestamp(toStartOfDay(start)) AS began "
            f"FROM {self._db}.sketches WHERE width = {BUCKET_SECONDS} AND start < {at(days.detail)} ORDER BY began"
        )
        for row in old.to_pylist():
            begin, end = row["began"], row["began"] + DAY
            if end > days.dropped:
                if not self._rows.periods(begin, end).has_all_rolled():
                    return  # it is done first
                self.write([Period(BUCKET_SECONDS, end, rolled=1)])
            partition = f"({BUCKET_SECONDS}, '{row['day']}')"
            self._connection.command(f"ALTER TABLE {self._db}.{self._local}{self._where} DROP PARTITION {partition}")

    def write(self, periods: Sequence[Period]) -> None:
        """Write marks, claims and roll-ups of periods."""
        rows = [(*period[:-1], round(period.claimed * 1000)) for period in periods]
        self._connection.insert("periods", rows_of(_COLUMNS, rows))


def mark(width: int, starts: Iterable[int]) -> list[Period]:
    """Return marks for the periods of a width in which some times are.

    They are random: a replicated table takes equal insertions for one.
    """
    begins = sorted({start // width * width for start in starts})
    return [Period(width, begin, marks=randbits(32) + 1) for begin in begins]


_COLUMNS: dict[str, pa.DataType] = {
    "width": pa.uint16(),
    "start": SECONDS,
    "marks": pa.uint64(),
    "rolled": pa.uint64(),
    "claimed": MILLISECONDS,
}
