"""The flush loop: every 10 s it closes finished buckets, encodes them in a worker thread and has them delivered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import CancelScope, CapacityLimiter, current_time, move_on_after, to_thread

from asyncdsm._internal import forks
from asyncdsm._internal.log import pluralize, warn_each_minute, warn_once
from asyncdsm.core import lag
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket, yield_gil
from asyncdsm.core.ddtrace_manual import take_over_from_ddtrace
from asyncdsm.core.edge import MOST_PATHWAYS, Point
from asyncdsm.delivery.event_loops import Loop, current_loop, run_blocking
from asyncdsm.delivery.outbox import Outbox, Parcel
from asyncdsm.delivery.retry import HEDGE_AFTER, Delivery, warn_of_dropped_checkpoints
from asyncdsm.settings import Settings

if TYPE_CHECKING:
    from asyncdsm.delivery.exporters import Exporter

T = TypeVar("T")

RESTART_SECONDS = 1.0
BEFORE_BUCKET_ENDS_NS = 200_000_000
"""How long before the end of a bucket the high watermarks are read: early enough to be counted in that bucket."""


class Flusher:
    """Takes the aggregator's buckets to the exporter until it is stopped.

    `run` may be cancelled and run again in another event loop: what waits is kept. `finished` is set when the last
    payload was delivered or given up. Every other method may be called from any thread.
    """

    def __init__(
        self,
        aggregator: Aggregator,
        settings: Settings,
        make_exporter: Callable[[], Exporter],
        on_lost: Callable[[Flusher], None],
    ) -> None:
        """`on_lost` is called when the event loop ends `run` that nobody stopped."""
        self._aggregator, self._settings = aggregator, settings
        self._make_exporter, self._on_lost = make_exporter, on_lost
        self._outbox = Outbox(settings.max_outbox_bytes, aggregator.counters)
        self._delivery = Delivery(self._outbox, aggregator.counters, settings.request_seconds)
        self._requests: list[threading.Event] = []
        self._stopping = self._abandoned = False
        self._beyond = 0
        self._loop: Loop | None = None
        self.finished: threading.Event = threading.Event()

    async def run(self, in_own_thread: bool) -> None:
        """Flush until stopped; never raises but for cancellation. In a thread of its own it needs no worker thread."""
        self._in_own_thread = in_own_thread
        self._wake, self._scope, self._limiter = anyio.Event(), CancelScope(), CapacityLimiter(1)
        self._delivering = CancelScope()
        self._loop = current_loop()
        self._delivery.next_attempt_at = 0.0  # another event loop, another clock
        try:
            with self._scope:
                if self._stopping:
                    self._hurry()
                await self._run_on()
            try:
                self._give_up_rest()
            except Exception as error:
                self._report_error(error)
            self.finished.set()
        finally:
            if not (self.finished.is_set() or self._abandoned):
                self._on_lost(self)

    def stop(self) -> None:
        """Deliver what is there, for at most `shutdown_seconds`, and finish."""
        self._stopping = True
        self._soon(self._hurry)

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping

    def abandon(self) -> None:
        """Do nothing more: this is the copy in a forked child of a loop that lives on in the parent."""
        self._abandoned = self._stopping = True

    def request_flush(self) -> threading.Event:
        """Have everything recorded so far delivered now, unfinished buckets too; the event is set after one try."""
        done = threading.Event()
        self._requests.append(done)
        self._soon(self._wake_up)
        return done

    async def _run_on(self) -> None:
        """Start over after an error of ours or the exporter's: no error may end all deliveries."""
        while True:
            try:
                return await self._run()
            except Exception as error:
                self._report_error(error)
            await anyio.sleep(RESTART_SECONDS)

    def _report_error(self, error: Exception) -> None:
        message = "an error kept the flush from going on; it starts again: %r"
        self._aggregator.report_error(error, "flush", message)

    async def _run(self) -> None:
        exporter = await self._apart(self._load)
        try:
            next_collect = current_time() + self._settings.flush_seconds
            bucket_ends = self._bucket_ends()
            while not self._stopping:
                due = self._delivery.next_attempt_at if self._outbox else next_collect
                await self._sleep_until(min(next_collect, bucket_ends, due))
                if self._abandoned:
                    return
                if current_time() >= bucket_ends:
                    self._note_high_watermarks()
                    bucket_ends = self._bucket_ends()
                requests, self._requests = self._requests, []
                if requests or current_time() >= next_collect:
                    next_collect = current_time() + self._settings.flush_seconds
                    await self._collect(everything=bool(requests))
                if requests or current_time() >= self._delivery.next_attempt_at:
                    await self._deliver(exporter)
                for request in requests:
                    request.set()
            if not self._abandoned:
                await self._drain(exporter)
        finally:
            with move_on_after(1, shield=True):
                await exporter.aclose()

    async def _deliver(self, exporter: Exporter) -> None:
        with self._delivering:
            await self._delivery.deliver_waiting(exporter)
        self._delivering = CancelScope()

    def _load(self) -> Exporter:
        # Protobuf, MessagePack and HTTP take 0.2 s to import: in the worker thread, and once something runs.
        with forks.import_lock:
            from asyncdsm.delivery.payload import pack  # noqa: PLC0415

            self._encode = pack
            return self._make_exporter()

    def _bucket_ends(self) -> float:
        """Return the time, on the event loop's clock, just before the current bucket (or else the next) ends.

        A commit in a bucket is the last one of its ten seconds. The high watermark to compare it with is of that time.
        """
        bucket_ns = self._aggregator.bucket_ns
        before_ns = min(bucket_ns // 10, BEFORE_BUCKET_ENDS_NS)
        left_ns = bucket_ns - (self._aggregator.now() + before_ns) % bucket_ns
        return current_time() + left_ns / 1e9

    async def _sleep_until(self, due: float) -> None:
        if not self._requests:
            with move_on_after(max(0.0, due - current_time())):
                await self._wake.wait()
        self._wake = anyio.Event()

    async def _drain(self, exporter: Exporter) -> None:
        await self._collect(everything=True)
        await self._delivery.drain(exporter)

    async def _collect(self, *, everything: bool) -> None:
        take_over_from_ddtrace()  # it may have been imported meanwhile
        self._note_high_watermarks()
        await self._apart(partial(self._pack_all, everything))

    async def _apart(self, work: Callable[[], T]) -> T:
        """Do slow work away from the user's event loop."""
        return run_blocking(work) if self._in_own_thread else await to_thread.run_sync(work, limiter=self._limiter)

    def _pack_all(self, everything: bool) -> None:
        # In the worker thread, and into the outbox from there: a cancelled wait for the thread loses nothing.
        before = None if everything else self._aggregator.now()
        for bucket in self._aggregator.take(before, yield_gil):
            parcel = self._pack(bucket)
            if parcel is not None:
                warn_of_dropped_checkpoints(self._outbox.enqueue(parcel))
        self._warn_of_too_many()

    def _warn_of_too_many(self) -> None:
        beyond = self._aggregator.counters.snapshot().dropped_by.get("points", 0)
        if beyond > self._beyond:
            self._beyond = beyond
            warn_each_minute(
                "points",
                "more than %d distinct edges and parents at a time (`max_points`): %d checkpoints dropped so far",
                self._settings.max_points,
                beyond,
            )

    def _pack(self, bucket: Bucket) -> Parcel | None:
        try:
            packed = self._encode(bucket, self._aggregator.bucket_ns, self._settings)
            _warn_of_many(bucket.points())
        except Exception as error:
            self._report_lost(bucket.recorded, error)
            return None
        if packed.errors:
            self._report_lost(packed.lost, packed.errors[0])
        return Parcel(packed.body, bucket.recorded - packed.lost)

    def _report_lost(self, checkpoints: int, error: Exception) -> None:
        self._aggregator.counters.drop("encoding", checkpoints)
        message = "lost %s, which could not be encoded: %r"
        warn_each_minute("encoding", message, pluralize(checkpoints, "checkpoint"), error, error=error)

    def _give_up_rest(self) -> None:
        counters = self._aggregator.counters
        lost = self._outbox.drop_all("shutdown")
        for bucket in [] if self._abandoned else self._aggregator.take():
            counters.drop("shutdown", bucket.recorded)
            lost += bucket.recorded
        if lost:
            warn_each_minute("shutdown", "lost %s, not delivered before the end", pluralize(lost, "checkpoint"))

    def _note_high_watermarks(self) -> None:
        for partition in lag.current_lags(self._report_lag_error):
            if partition.end is None or self._is_old(partition):
                continue
            try:
                tags = lag.high_watermark_tags(partition.topic, partition.partition, partition.cluster_id)
            except Exception as error:
                self._report_lag_error(error)
            else:
                self._aggregator.record_offset(tags, partition.end)

    def _is_old(self, partition: lag.Lag) -> bool:
        """Say whether the end of a partition was told before the bucket that it would be counted in: one is paused."""
        return partition.seen_ns is not None and self._aggregator.now() - partition.seen_ns > self._aggregator.bucket_ns

    def _report_lag_error(self, error: Exception) -> None:
        self._aggregator.report_error(error, "lag", "consumer lag could not be read: %r")

    def _wake_up(self) -> None:
        self._wake.set()

    def _hurry(self) -> None:
        if self._loop is not None:
            now, seconds = self._loop.time(), self._settings.shutdown_seconds
            self._scope.deadline = now + seconds
            self._delivering.deadline = now + seconds * HEDGE_AFTER  # what is under way leaves time for another try
            self._wake.set()

    def _soon(self, function: Callable[[], object]) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon(function)
            except RuntimeError:  # the event loop is closed: `run` in the next one sees what is asked
                self._loop = None


def _warn_of_many(points: Collection[Point]) -> None:
    if len(points) > MOST_PATHWAYS:
        edges = sorted(", ".join(edge.tags) for edge in {point.edge for point in points})
        warn_once(
            "many-pathways",
            "this service has %d distinct pathways; Datadog drops payloads above about %d. Its edges: %s",
            len(points),
            MOST_PATHWAYS,
            "; ".join(edges[:10]) + (" …" if len(edges) > 10 else ""),
        )
