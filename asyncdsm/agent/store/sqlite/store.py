"""The store: histograms per point and bucket, later per minute and more, and the offsets of backlogs.

A payload is accepted in two steps. First it is written to the journal of the file as it came, together with other
payloads that wait, and acknowledged; its counts are added to the write buffer in memory. Every ten seconds the buffer
is written to the segments of the file, and removed from the journal, in one transaction. After a kill, the journal is
read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, time
from weakref import finalize

from asyncdsm.agent.store.base import BaseStore
from asyncdsm.agent.store.edge_facts import EDGE_BYTES, MOST_EDGES
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.growth import Growth, describe_growth
from asyncdsm.agent.store.limits import DETAIL_SECONDS, KEPT_SECONDS, MAX_BACKLOGS, MAX_POINTS, MAX_REMEMBERED
from asyncdsm.agent.store.merger import Label, LabeledHistograms
from asyncdsm.agent.store.offset_search import Crossing, Passing
from asyncdsm.agent.store.offsets import Backlog, Tags
from asyncdsm.agent.store.protocol import COUNTERS
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.reports import AcceptedPayload, Decode, FactSums
from asyncdsm.agent.store.resolutions import RESOLUTIONS, RollUpVersion, TimeRange
from asyncdsm.agent.store.spool import Spool
from asyncdsm.agent.store.sqlite.file import StoreFile, translate_error
from asyncdsm.agent.store.sqlite.reader import StoreReader
from asyncdsm.agent.store.sqlite.state import StoreState
from asyncdsm.agent.store.sqlite.sum_reader import EdgeSumReader
from asyncdsm.agent.store.sqlite.upkeep import Bounds, Upkeep
from asyncdsm.agent.store.sqlite.writer import PayloadWriter
from asyncdsm.agent.store.transaction_reader import TransactionReader
from asyncdsm.agent.store.transactions import MOST_PENDING
from asyncdsm.agent.store.write_buffer import measure_fullness
from asyncdsm.errors import StoreError

GROUP_SIZE = 64
FILE_BYTES, MEMORY_BYTES = 4 << 30, 256 << 20
MAX_ROWS = 50_000_000
MAX_TRANSACTIONS = 250_000
POINT_BYTES, BACKLOG_BYTES, TRANSACTION_BYTES = 2048, 4096, 16_384
"""How many bytes of the store's limit allow one point, backlog or business transaction: they take half of it."""
FLUSH_SECONDS = 10.0


class SQLiteStore(BaseStore[StoreState]):
    """Keeps what services report, in a file or in memory. Any thread may use it.

    Rows that are older than `kept_seconds` are deleted, and so are the oldest rows if there are too many.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        decode: Decode | None = None,
        kept_seconds: int = KEPT_SECONDS,
        max_rows: int = MAX_ROWS,
        max_bytes: int | None = None,
        max_points: int = MAX_POINTS,
        now: Callable[[], float] = time,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        """Open the file at `path`, or keep everything in memory. Raises StoreError.

        `decode` reads the payloads of the file's journal again, and must be given together with `path`. `now` returns
        seconds since the epoch, and `ticks` seconds of a clock that nobody sets.
        """
        if path is not None and decode is None:
            raise TypeError("Store() needs `decode` together with `path`, to read the journal of the file")
        max_bytes = max_bytes or (FILE_BYTES if path else MEMORY_BYTES)
        self._file = StoreFile(path)
        self._closing = finalize(self, self._file.close)
        super().__init__(
            kept_seconds,
            GROUP_SIZE,
            most_points=min(max_points, max_bytes // POINT_BYTES),
            most_backlogs=min(MAX_BACKLOGS, max_bytes // BACKLOG_BYTES),
            now=now,
            ticks=ticks,
        )
        self._max_rows = max_rows
        try:
            self._state = StoreState(
                self._file,
                self.points,
                self._latest,
                self.facts,
                most_transactions=min(MAX_TRANSACTIONS, max_bytes // TRANSACTION_BYTES),
                most_fact_edges=min(MOST_EDGES, max_bytes // EDGE_BYTES),
            )
            self._writer = PayloadWriter(
                self._state,
                self.point_ages,
                self.conditions,
                kept_seconds=kept_seconds,
                most_bodies=min(MAX_REMEMBERED, max_bytes // POINT_BYTES),
                now=now,
            )
            if decode is not None:
                self._writer.replay_journal(decode)
        except sqlite3.Error as error:
            self._closing()
            raise StoreError(f"{path}: {error}") from None
        self._counted_before = self.counters()
        self._flushed_at = ticks()
        self._reader = StoreReader(self._state)
        self._sums = EdgeSumReader(self._state)
        self._upkeep = Upkeep(self._state, Bounds(kept_seconds, max_rows, max_bytes))

    @property
    def payloads(self) -> int:
        """How many payloads were accepted, ever. Reading it waits for nothing."""
        return self._writer.payloads

    def close(self) -> None:
        """Write the buffer, if that is possible, and close the file."""
        with self._state.upkeep_lock, suppress(sqlite3.Error):
            if self._closing.alive:
                self._writer.save_bodies()
                self._upkeep.flush_buffer()
        self._closing()

    def open_spool(self, limit_bytes: int) -> Spool | None:
        """Return the payloads that wait to be forwarded, at most `limit_bytes` of bodies. Raises StoreError.

        From now on, the file keeps a copy of them. A store in memory has no spool, and returns None.
        """
        return self._writer.open_spool(limit_bytes)

    def save_spool(self) -> None:
        """Write payloads that wait to be forwarded to the file, and delete all others. Raises sqlite3.Error."""
        self._writer.save_spool()

    def accepted_bodies(self) -> Sequence[tuple[bytes, float]]:
        """Return digests of bodies that were accepted before the start, and how many seconds ago, the oldest first."""
        return self._writer.accepted_bodies()

    def forget_body(self, digest: bytes) -> None:
        """Note that the sender of a body has its answer, and sends it no more."""
        self._writer.forget_body(digest)

    def add_all(self, payloads: Sequence[AcceptedPayload]) -> None:
        """Add payloads: when this returns, a kill loses none of them. If it raises, none of them was added.

        Raises StoreFullError if there is no room, and sqlite3.Error if the file cannot be written.
        """
        try:
            self._limit_buffers()
            self._writer.accept_payloads(payloads)
        except sqlite3.Error as error:
            self.conditions.note("store", str(error), len(payloads))
            raise translate_error(error) from error
        self.conditions.clear("store")
        if self._is_buffer_full():
            with suppress(sqlite3.Error):  # the payloads are in the journal, and the next flush tries again
                self.flush()

    def maintain(self) -> None:
        """Flush if that is due. Call it every second or so. Raises sqlite3.Error."""
        if self._ticks() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the buffer to segments, roll up and delete old rows. Raises sqlite3.Error."""
        with self._state.upkeep_lock:
            self._flushed_at = self._ticks()
            before = self._state.counters["forgotten_rows"]
            try:
                self._writer.save_bodies()
                self._upkeep.run(self.now())
            except sqlite3.Error as error:
                self.conditions.note("upkeep", str(error))
                raise
            self.conditions.clear("upkeep")
            if self._upkeep.deleted_transactions:
                problem = "there are too many business transactions: the oldest are deleted early"
                self.conditions.note("transactions", problem, self._upkeep.deleted_transactions)
            if self._upkeep.deleted_fact_edges:
                problem = "too many edges have redeliveries, batches or schemas: those of the oldest are deleted early"
                self.conditions.note("facts", problem, self._upkeep.deleted_fact_edges)
            if (lost := self._state.counters["forgotten_rows"] - before) > 0:
                self.conditions.note("room", "the store is full: the oldest rows are deleted early", lost)
            growth = self._upkeep.measure_growth(self.now())
            if growth.is_short:
                self.conditions.note("growth", describe_growth(growth, self.kept_seconds))
            else:
                self.conditions.clear("growth")

    def merge_rows(
        self,
        time_range: TimeRange,
        label: Label,
        *,
        service: int | None = None,
        coarsest: int = RESOLUTIONS[-1],
        sketch: int | None = None,
    ) -> LabeledHistograms:
        """Return what was counted in a time range, merged by the labels that `label` gives to the rows.

        `service` limits it to one service, by its number, and `sketch` to one of the three histograms. Rows are no
        coarser than `coarsest` seconds, except where the finer ones are deleted already.
        """
        first, last = self._bucket_bounds(time_range)
        return self._reader.merge_rows(first, last, label, service=service, coarsest=coarsest, sketch=sketch)

    def sum_edges(self, time_range: TimeRange, *, coarsest: int = RESOLUTIONS[-1]) -> EdgeSums:
        """Return what was counted in a time range by edge; points that were evicted may still be in it."""
        return self._sums.sum_all(*self._bucket_bounds(time_range), coarsest)

    def sum_edges_by_start(self, time_range: TimeRange, *, coarsest: int = RESOLUTIONS[-1]) -> dict[int, EdgeSums]:
        """Return the same by the start of the rows, in ascending order."""
        return self._sums.sum_by_start(*self._bucket_bounds(time_range), coarsest)

    def roll_up_versions(self, time_range: TimeRange, width: int) -> dict[int, RollUpVersion]:
        """Return the version of each period of `width` seconds in a time range, by its start.

        Only periods that are rolled up have one. What was counted in a period changes only together with its version.
        """
        return self._reader.roll_up_versions(*self._bucket_bounds(time_range), width)

    def offsets(self, time_range: TimeRange) -> list[tuple[Tags, int, int]]:
        """Return tags, start and value of the offsets in a time range, and of each backlog's last one before it.

        They are in order of time.
        """
        return self._reader.offsets(*self._bucket_bounds(time_range))

    def edge_facts(self, time_range: TimeRange) -> dict[EdgeKey, FactSums]:
        """Return what messages of each edge said besides their latency, in the minutes of a time range."""
        return self._reader.edge_facts(*self._bucket_bounds(time_range), self.now() - DETAIL_SECONDS)

    def find_crossings(self, wanted: Iterable[Passing]) -> dict[Passing, Crossing]:
        """Return when backlogs passed values, as far as that was not deleted."""
        return self._reader.find_crossings(wanted)

    def thinned_offsets(self, tags: Tags, first: int, last: int, step: int) -> list[Backlog]:
        """Return the last offset of a backlog in each `step` seconds of [first, last)."""
        return self._reader.thinned_offsets(tags, first, last, step)

    @contextmanager
    def read_transactions(self) -> Iterator[TransactionReader]:
        """Yield a reader of the business transactions, which has all that were accepted. Raises sqlite3.Error."""
        self._state.write_transactions()
        with self._state.snapshot(lambda _: None) as snapshot:
            yield TransactionReader(snapshot.connection)

    def oldest_start(self) -> float | None:
        """Return the start of the oldest row, in seconds since the epoch, or None without any row."""
        return self._reader.oldest_start()

    def counters(self) -> dict[str, int]:
        """Return how many payloads were accepted, how many rows are kept, and how many rows and buckets were not.

        `forgotten_rows` were deleted early for want of room, `ignored_rows` were too old, and `clamped_buckets` came
        from a clock that is ahead.
        """
        with self._state.lock:
            counters = {name: self._state.counters[name] for name in COUNTERS}
            for buffer in self._state.buffers:
                for name, value in {**buffer.counters, "rows": len(buffer.slots)}.items():
                    counters[name] += value
            return counters

    def own_counters(self) -> dict[str, int]:
        """Return the same without the rows that are kept: only what was counted since the store was opened."""
        return {name: count - self._counted_before[name] for name, count in self.counters().items() if name != "rows"}

    def growth(self) -> Growth:
        """Return how fast the store grows, and how far back rows will reach under its limit."""
        return self._upkeep.measure_growth(self.now())

    def used_bytes(self) -> int:
        """Return how many bytes of the file, or of memory, are in use."""
        with self._state.lock:
            return self._file.used_bytes()

    def _limit_buffers(self) -> None:
        """Write the buffer if it is far too full, as after hours of a full disk. Raises sqlite3.Error."""
        if measure_fullness(self._state.buffers) > 2:
            with self._state.upkeep_lock:
                self._upkeep.flush_buffer()

    def _is_buffer_full(self) -> bool:
        buffer = self._state.buffer
        if len(self._state.transactions) > MOST_PENDING:
            return True
        return measure_fullness([buffer]) > 1 or self._state.counters["rows"] + len(buffer.slots) > self._max_rows
