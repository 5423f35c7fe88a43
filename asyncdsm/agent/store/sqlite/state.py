"""What the parts of the store share: its file, the write buffers in memory, and the locks."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from time import sleep
from typing import Generic, NamedTuple, TypeVar

from asyncdsm.agent.store.offsets import LatestOffsets, read_latest_offsets
from asyncdsm.agent.store.registry import PointRegistry
from asyncdsm.agent.store.resolutions import Coverages
from asyncdsm.agent.store.schemas import SchemaHistory, read_schemas
from asyncdsm.agent.store.services import ServiceFacts
from asyncdsm.agent.store.sqlite.file import StoreFile, add_to_counters, add_to_row_counts
from asyncdsm.agent.store.sqlite.registry_tables import load_registry, read_last_seen
from asyncdsm.agent.store.sqlite.segments import newest_start, read_coverages
from asyncdsm.agent.store.transactions import TransactionStore
from asyncdsm.agent.store.versions import read_versions
from asyncdsm.agent.store.write_buffer import WriteBuffer

_PAUSE_SECONDS = 0.001
T = TypeVar("T")


class Change(NamedTuple):
    """What one transaction changes besides the tables. It takes effect when the transaction is committed."""

    connection: sqlite3.Connection
    coverages: Coverages
    counters: Counter[str]
    """What to add to the counters, by name."""
    rows: Counter[int]
    """How many rows were added to each service, by its number; below 0 if rows were deleted."""


class Snapshot(NamedTuple, Generic[T]):
    """The file and the write buffers at one moment: together they have each accepted payload once."""

    connection: sqlite3.Connection
    buffered: list[T]
    """What was copied of each write buffer, the oldest first."""
    coverages: Coverages


class StoreState:
    """The state of a store, guarded by two locks.

    Hold `lock` for as short as possible, since everybody who reports or reads waits for it. Whoever writes segments
    holds `upkeep_lock` all the time, and acquires it before `lock`.
    """

    def __init__(
        self,
        file: StoreFile,
        points: PointRegistry,
        latest: LatestOffsets,
        facts: ServiceFacts,
        *,
        most_transactions: int,
        most_fact_edges: int,
    ) -> None:
        """Load the state from the file; `points`, `latest` and `facts` are empty. Raises sqlite3.Error."""
        self.lock: Lock = Lock()
        self.upkeep_lock: Lock = Lock()
        self._transactions_lock = Lock()
        self.file: StoreFile = file
        self.points: PointRegistry = points
        self.latest: LatestOffsets = latest
        self.facts: ServiceFacts = facts
        load_registry(file.connection, points)
        facts.restore(read_last_seen(file.connection))
        facts.versions.restore(read_versions(file.connection))
        self.schemas: SchemaHistory = SchemaHistory()
        self.schemas.restore(read_schemas(file.connection))
        for tags, backlog, service in read_latest_offsets(file.connection):
            latest.record(tags, backlog, service)
        self.coverages: Coverages = read_coverages(file.connection)
        self.counters: Counter[str] = Counter(file.counters())
        self.rows: Counter[int] = Counter(file.row_counts())
        self.buffer: WriteBuffer = WriteBuffer(newest_start(file.connection), latest)
        """Takes what is reported."""
        self.most_fact_edges: int = most_fact_edges
        self.transactions: TransactionStore = TransactionStore(file.connection, most_transactions)
        self.flushing: WriteBuffer | None = None
        """The buffer that is being written to segments."""

    @property
    def newest(self) -> int:
        """The start of the newest row."""
        return self.buffer.newest

    @property
    def buffers(self) -> list[WriteBuffer]:
        """The write buffers, the oldest first."""
        return [buffer for buffer in (self.flushing, self.buffer) if buffer is not None]

    @contextmanager
    def transaction(self) -> Iterator[Change]:
        """Commit the changes that are made inside the block, or none of them. Hold `lock`. Raises sqlite3.Error."""
        with self.file.transaction() as connection:
            change = Change(connection, dict(self.coverages), Counter(), Counter())
            yield change
            change.counters["rows"] += change.rows.total()
            add_to_counters(connection, change.counters)
            add_to_row_counts(connection, change.rows)
        self.coverages = change.coverages
        self.counters.update(change.counters)
        self.rows.update(change.rows)

    @contextmanager
    def step(self) -> Iterator[Change]:
        """Run a transaction with the lock held, and then let other threads have the lock. Raises sqlite3.Error."""
        with self.lock, self.transaction() as change:
            yield change
        self.pause()

    def write_transactions(self) -> None:
        """Write the checkpoints of business transactions that wait, in short steps. Raises sqlite3.Error."""
        with self._transactions_lock:  # before `lock`, so that nobody else writes the same batch
            while batch := self.transactions.next_batch():
                try:
                    with self.step() as change:
                        self.transactions.write(change.connection, batch)
                except BaseException:
                    with self.lock:
                        self.transactions.restore(self.file.connection)
                    raise
                self.transactions.forget_batch(batch)

    def pause(self) -> None:
        """Let a waiting thread acquire the lock: a thread that acquires it again at once would always win."""
        sleep(_PAUSE_SECONDS)

    @contextmanager
    def snapshot(self, copy: Callable[[WriteBuffer], T]) -> Iterator[Snapshot[T]]:
        """Yield a snapshot with what `copy` returns for each write buffer.

        A store in memory stays locked until the block ends; a store with a file can be written meanwhile.
        """
        with ExitStack() as held:
            held.enter_context(self.lock)
            connection = held.enter_context(self.file.snapshot())
            snapshot = Snapshot(connection, [copy(buffer) for buffer in self.buffers], dict(self.coverages))
            if self.file.path is not None:
                self.lock.release()
                held.callback(self.lock.acquire)
            yield snapshot
