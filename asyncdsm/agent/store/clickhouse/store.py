"""The store in ClickHouse. It acknowledges a payload when ClickHouse has written it, and keeps nothing of its own.

So a killed agent loses nothing, even if its disk is lost with it. Payloads that come while others are written are
written together, a few times a second at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from time import monotonic, sleep, time

from asyncdsm.agent.store.base import BaseStore
from asyncdsm.agent.store.clickhouse.address import Address
from asyncdsm.agent.store.clickhouse.batch import Moment
from asyncdsm.agent.store.clickhouse.connection import Connection, HTTPConnection
from asyncdsm.agent.store.clickhouse.edge_facts import sum_facts
from asyncdsm.agent.store.clickhouse.offset_reader import OffsetReader
from asyncdsm.agent.store.clickhouse.roll_up import RollUp
from asyncdsm.agent.store.clickhouse.row_reader import RowReader
from asyncdsm.agent.store.clickhouse.shared_state import COUNTED, SharedState
from asyncdsm.agent.store.clickhouse.sizes import Sizes
from asyncdsm.agent.store.clickhouse.sum_reader import SumReader
from asyncdsm.agent.store.clickhouse.tables import prepare_tables
from asyncdsm.agent.store.clickhouse.transaction_reader import ClickHouseTransactionReader
from asyncdsm.agent.store.clickhouse.writer import PayloadWriter
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.growth import Growth
from asyncdsm.agent.store.limits import KEPT_SECONDS, MAX_BACKLOGS, MAX_POINTS
from asyncdsm.agent.store.merger import Label, LabeledHistograms, Merger, by_point
from asyncdsm.agent.store.offset_search import Crossing, Passing
from asyncdsm.agent.store.offsets import Backlog, Tags
from asyncdsm.agent.store.protocol import COUNTERS
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import AcceptedPayload, FactSums
from asyncdsm.agent.store.resolutions import RESOLUTIONS, TimeRange
from asyncdsm.agent.store.spool import Spool
from asyncdsm.errors import StoreError, StoreFullError, StoreUnavailableError

GROUP_SIZE = 512
PAUSE_SECONDS = 0.2
"""How long after the begin of an insertion the next one begins at the earliest: ClickHouse prefers few large ones."""
REFRESH_SECONDS = 1.0
"""How old what other agents wrote may be in memory. Rows and offsets of a time range are always read anew."""
UPKEEP_SECONDS = 10.0
_TOO_MANY_FACTS = "too many edges have redeliveries or batches: some of the services that have most are left out"


class ClickHouseStore(BaseStore[SharedState]):
    """Keeps what services report in ClickHouse. Any thread may use it."""

    def __init__(
        self,
        address: Address,
        *,
        kept_seconds: int = KEPT_SECONDS,
        max_points: int = MAX_POINTS,
        now: Callable[[], float] = time,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        """Connect, create the tables that are missing, and read what is there. Raises StoreError.

        `now` returns seconds since the epoch, and `ticks` seconds of a clock that nobody sets.
        """
        super().__init__(
            kept_seconds, GROUP_SIZE, most_points=max_points, most_backlogs=MAX_BACKLOGS, now=now, ticks=ticks
        )
        self._db = address.database
        self._writing, self._refreshing, self._upkeep = Lock(), Lock(), Lock()
        try:
            self._connection: Connection = HTTPConnection(address)
            prepare_tables(self._connection, address, kept_seconds)
            self._state = SharedState(self._connection, self._db, self.points, self._latest, self.facts)
            self._state.load(now() - kept_seconds)
            self._sizes = Sizes(self._connection, self._db)
        except (StoreUnavailableError, StoreFullError) as error:
            raise StoreError(str(error)) from None
        self._rows = RowReader(self._connection, self._db, self._state)
        self._sums = SumReader(self._rows, self._state)
        self._offsets = OffsetReader(self._connection, self._db, self._state)
        self._roll_up = RollUp(self._connection, self._db, address.cluster, self._rows, self._state, ticks=ticks)
        self._writer = PayloadWriter(self._connection, self._state, self._roll_up)
        self._wrote_at = self._refreshed_at = self._upkept_at = ticks()

    @property
    def payloads(self) -> int:
        """How many payloads all agents accepted, as far as this one knows. Reading it waits for nothing."""
        return self._state.counted("payloads")

    def close(self) -> None:
        """Close the connection. Everything that was acknowledged is written already."""
        with suppress(OSError):
            self._connection.close()

    def open_spool(self, limit_bytes: int) -> Spool | None:
        """Return None: payloads that wait to be forwarded are in memory only."""
        return None

    def save_spool(self) -> None:
        """Do nothing: there is no spool."""

    def add_all(self, payloads: Sequence[AcceptedPayload]) -> None:
        """Write payloads: when this returns, ClickHouse has all of them. If it raises, none of them counts.

        Raises StoreFullError if ClickHouse has no room, and StoreUnavailableError if it cannot be written.
        """
        try:
            with self._writing:
                self._pause(len(payloads))
                self._write(payloads)
        except (StoreUnavailableError, StoreFullError) as error:
            self.conditions.note("store", str(error), len(payloads))
            raise
        self.conditions.clear("store")

    def maintain(self) -> None:
        """Read what other agents wrote, and roll up if that is due. Call it every second or so."""
        try:
            self._refresh()
        except StoreUnavailableError as error:
            self.conditions.note("upkeep", str(error))  # until `flush` succeeds
            raise
        if self._ticks() - self._upkept_at >= UPKEEP_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Roll up what is due. Raises StoreUnavailableError."""
        with self._upkeep:
            self._upkept_at = self._ticks()
            try:
                self._roll_up.run(self.now(), self.kept_seconds)
                with self._state.lock:
                    self._state.names.drop_old(self._roll_up.forget_time(self.now()) - self.kept_seconds)
                self._settle_counts()
                self._sizes.read_sizes()
            except (StoreUnavailableError, StoreFullError) as error:
                self.conditions.note("upkeep", str(error))
                raise
            self.conditions.clear("upkeep")

    def merge_rows(
        self,
        time_range: TimeRange,
        label: Label,
        *,
        service: int | None = None,
        coarsest: int = RESOLUTIONS[-1],
        sketch: int | None = None,
    ) -> LabeledHistograms:
        """Return what was counted in a time range, merged by the labels that `label` gives to the rows."""
        names = None
        if service is not None:
            with self._state.lock:
                names = next((names for names, number in self.points.services.items() if number == service), None)
            if names is None:
                return Merger().result()
        first, last = self._bucket_bounds(time_range)
        if label is by_point and sketch is None and service is None:
            return self._sums.merge_points(first, last, coarsest)
        merger = Merger()
        for rows in self._rows.read_rows(
            self._rows.periods(first, last).plan(first, last, coarsest), service=names, sketch=sketch
        ):
            merger.add_rows(rows, label, sketch)
        return merger.result()

    def sum_edges(self, time_range: TimeRange, *, coarsest: int = RESOLUTIONS[-1]) -> EdgeSums:
        """Return what was counted in a time range by edge."""
        return self._sums.sum_all(*self._bucket_bounds(time_range), coarsest)

    def sum_edges_by_start(self, time_range: TimeRange, *, coarsest: int = RESOLUTIONS[-1]) -> dict[int, EdgeSums]:
        """Return the same by the start of the rows, in ascending order."""
        return self._sums.sum_by_start(*self._bucket_bounds(time_range), coarsest)

    def roll_up_versions(self, time_range: TimeRange, width: int) -> dict[int, tuple[int, int]]:
        """Return the version of each period of `width` seconds in a time range that is rolled up, by its start."""
        if width not in RESOLUTIONS[1:]:
            return {}
        first, last = self._bucket_bounds(time_range)
        versions = self._rows.periods(first, last).versions(width)
        return {start: version for start, version in versions.items() if first <= start < last}

    def offsets(self, time_range: TimeRange) -> list[tuple[Tags, int, int]]:
        """Return tags, start and value of the offsets in a time range, and of each backlog's last one before it."""
        return self._offsets.read_offsets(*self._bucket_bounds(time_range))

    def find_crossings(self, wanted: Iterable[Passing]) -> dict[Passing, Crossing]:
        """Return when backlogs passed values, as far as that was not deleted."""
        return self._offsets.search_crossings(wanted)

    def thinned_offsets(self, tags: Tags, first: int, last: int, step: int) -> list[Backlog]:
        """Return the last offset of a backlog in each `step` seconds of [first, last)."""
        return self._offsets.read_thinned(tags, first, last, step)

    def edge_facts(self, time_range: TimeRange) -> dict[EdgeKey, FactSums]:
        """Return what the messages of each edge said in the minutes of a time range, summed up."""
        facts, left_out = sum_facts(self._connection, self._db, *self._bucket_bounds(time_range))
        if left_out:
            self.conditions.note("facts", _TOO_MANY_FACTS, left_out)
        return facts

    @contextmanager
    def read_transactions(self) -> Iterator[ClickHouseTransactionReader]:
        """Yield a reader of the business transactions, which has all that were accepted."""
        oldest = int(self.now() - self.kept_seconds) * 10**9
        yield ClickHouseTransactionReader(self._connection, self._db, oldest)

    def oldest_start(self) -> float | None:
        """Return the start of the oldest row, in seconds since the epoch, or None without any row."""
        return self._rows.find_oldest(int(self.now()) - self.kept_seconds)

    def counters(self) -> dict[str, int]:
        """Return the counters of all agents, as far as they are known here; it waits for nothing.

        Rows are those of the last upkeep and what was written here since. ClickHouse deletes nothing early, so that
        `forgotten_rows` is 0.
        """
        counted = {name: self._state.counted(name) for name in COUNTED}
        return {**dict.fromkeys(COUNTERS, 0), **counted, "rows": self._sizes.rows}

    def own_counters(self) -> dict[str, int]:
        """Return the same without the rows that are kept: only what this agent counted since its start."""
        own: dict[str, int] = dict(zip(COUNTED, self._state.own_counts({}), strict=True))
        return {name: own.get(name, 0) for name in COUNTERS if name != "rows"}

    def growth(self) -> Growth | None:
        """Return None: the server's disk is the limit."""
        return None

    def used_bytes(self) -> int:
        """Return how many bytes of disk the tables took at the last upkeep, on the server that answered."""
        return self._sizes.used_bytes

    def _settle_counts(self) -> None:
        """Write what this agent counted, if ClickHouse may have it wrong and nothing is being written anyway."""
        if self._writing.acquire(blocking=False):
            try:
                self._writer.settle_counts(self.now())
            finally:
                self._writing.release()

    def _pause(self, payloads: int) -> None:
        """Let more payloads come that can be written together, if few are there."""
        rest = self._wrote_at + PAUSE_SECONDS - self._ticks()
        if payloads < GROUP_SIZE and 0 < rest <= PAUSE_SECONDS:
            sleep(rest)
        self._wrote_at = self._ticks()

    def _write(self, payloads: Sequence[AcceptedPayload]) -> None:
        with self._state.lock:
            known, received = self.points.forgotten, self.now()
            self.point_ages.note(self.points.next_point, received)
        batch = self._writer.write(payloads, Moment(received, self.kept_seconds))
        self._state.count_own(len(payloads), batch.counters)
        self._sizes.rows += batch.rows
        if batch.facts_left_out:
            self.conditions.note("facts", _TOO_MANY_FACTS, batch.facts_left_out)
        if self.points.forgotten > known:
            problem = "there are too many pathways: those that were seen longest ago are left out"
            self.conditions.note("pathways", problem, self.points.forgotten - known)

    def _refresh(self) -> None:
        """Read what others wrote, if that is due and no other thread does it already. Raises StoreUnavailableError."""
        if self._refreshing.acquire(blocking=False):
            try:
                if self._ticks() - self._refreshed_at >= REFRESH_SECONDS:
                    self._state.refresh()
                    self._refreshed_at = self._ticks()
            finally:
                self._refreshing.release()
