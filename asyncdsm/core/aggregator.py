"""What has been measured and not been sent yet, in buckets of time."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from time import time_ns

from asyncdsm._internal.pauses import no_pause
from asyncdsm.core.bucket import Bucket, Buckets
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.core.edge import Point
from asyncdsm.core.recorder import BaseRecorder
from asyncdsm.core.transactions import TransactionBatch, TransactionLog


class Aggregator(BaseRecorder):
    """Counts the checkpoints of any thread into buckets; gives out finished buckets.

    What the buckets given out have recorded, plus what waits here, plus what was dropped, is what was recorded:
    `counters` keeps the balance.
    """

    def __init__(
        self,
        service: str,
        env: str | None,
        *,
        bucket_ns: int = 10_000_000_000,
        max_points: int = 10_000,
        max_header_bytes: int = 256,
        max_transaction_bytes: int = 4 << 20,
        now: Callable[[], int] = time_ns,
        counters: Counters | None = None,
    ) -> None:
        """`now` gives nanoseconds since the epoch."""
        super().__init__(service, env, max_header_bytes=max_header_bytes, now=now, counters=counters)
        self.bucket_ns: int = bucket_ns
        self.buckets: Buckets = Buckets(bucket_ns, max_points)
        self.transactions: TransactionLog = TransactionLog(bucket_ns, max_transaction_bytes)
        self._lock = RLock()  # a signal handler may ask for the counters

    def record(self, point: Point, now: int, edge_ns: int, pathway_ns: int, size: int | None) -> None:
        """Count a checkpoint."""
        self.buckets.count_checkpoint(point, now, edge_ns, pathway_ns, size)

    def admit(self, point: Point) -> bool:
        """Admit one more point if there is room. Without, it names its pathway, and its checkpoints are dropped."""
        return self.buckets.admit(point)

    def add_offset(self, tags: tuple[str, ...], offset: int) -> None:
        """Take an offset that has been checked."""
        self.buckets.record_offset(tags, self.now(), offset)

    def add_transaction(self, transaction_id: bytes, checkpoint: str) -> None:
        """Take a transaction's checkpoint that has been checked."""
        self.transactions.append_record(transaction_id, checkpoint, self.now())

    def take(self, before_ns: int | None = None, pause: Callable[[], object] = no_pause) -> list[Bucket]:
        """Return the buckets that ended at or before `before_ns` (None: all), oldest first, and forget them.

        With many points that is slow work, which calls `pause` now and then.
        """
        with self._lock:
            taken = self.buckets.take(before_ns)
            self._update_counters()
        if taken:
            self.buckets.forget_idle(taken, pause)
        return taken

    def take_transactions(self, before_ns: int | None = None) -> list[TransactionBatch]:
        """Return the transactions' checkpoints of the buckets that ended at or before `before_ns`, and of full batches.

        With None, return all of them.
        """
        with self._lock:
            taken = self.transactions.take(before_ns)
            self._update_counters()
        return taken

    def stats(self) -> Stats:
        """Return the counters as they are now."""
        with self._lock:
            self._update_counters()
        return self.counters.to_stats()

    def _update_counters(self) -> None:
        tallies = self.buckets.take_tallies()
        self.counters.record(tallies.counted + tallies.refused)
        self.counters.drop("points", tallies.refused)
        self.counters.increment("malformed", tallies.malformed)
        self.counters.increment("offsets_dropped", tallies.refused_offsets)
        recorded, dropped_by = self.transactions.take_tallies()
        self.counters.record(recorded)
        self.counters.increment("transactions", recorded)
        for cause, count in dropped_by.items():
            self.counters.drop(cause, count)
