"""The flush loop: every 10 s it has finished buckets encoded in a worker thread, and delivers them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import anyio
from anyio import CancelScope, CapacityLimiter, current_time, move_on_after, to_thread

from asyncdsm._internal import forks
from asyncdsm._internal.log import pluralize, warn_each_minute
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.ddtrace_manual import take_over_from_ddtrace
from asyncdsm.delivery.bucket_packer import BucketPacker
from asyncdsm.delivery.event_loops import LoopHandle, current_loop_handle, run_blocking
from asyncdsm.delivery.high_watermarks import HighWatermarkRecorder
from asyncdsm.delivery.outbox import Outbox
from asyncdsm.delivery.retry import HEDGE_AFTER, Delivery
from asyncdsm.settings import Settings

if TYPE_CHECKING:
    from asyncdsm.delivery.exporters import Exporter

T = TypeVar("T")

RESTART_SECONDS = 1.0


class Flusher:
    """Takes the aggregator's buckets to the exporter until it is stopped.

    `run` may be cancelled and run again in another event loop: what waits for delivery is kept. `finished` is set when
    the last payload was delivered or given up. Every method but `run` may be called from any thread.
    """

    def __init__(
        self,
        aggregator: Aggregator,
        settings: Settings,
        make_exporter: Callable[[], Exporter],
        on_interrupted: Callable[[Flusher], None],
    ) -> None:
        """`on_interrupted` is called if `run` ends before it is finished, because its event loop ends."""
        self._aggregator, self._settings = aggregator, settings
        self._make_exporter, self._on_interrupted = make_exporter, on_interrupted
        self._outbox = Outbox(settings.max_outbox_bytes, aggregator.counters)
        self._packer = BucketPacker(aggregator, settings, self._outbox)
        self._high_watermarks = HighWatermarkRecorder(aggregator)
        self._delivery = Delivery(self._outbox, aggregator.counters, settings.request_seconds)
        self._requests: list[threading.Event] = []
        self._has_full_batch = False
        aggregator.transactions.on_full = self._note_full_batch
        self._stopping = self._abandoned = False
        self._loop: LoopHandle | None = None
        self.finished: threading.Event = threading.Event()

    async def run(self, in_own_thread: bool) -> None:
        """Flush until stopped. Raises nothing, unless it is cancelled.

        `in_own_thread` says that it may block its thread; otherwise slow work goes to a worker thread.
        """
        self._in_own_thread = in_own_thread
        self._wake, self._scope, self._limiter = anyio.Event(), CancelScope(), CapacityLimiter(1)
        self._delivery_scope = CancelScope()
        self._loop = current_loop_handle()
        self._delivery.next_attempt_at = 0.0  # each event loop has a clock of its own
        try:
            with self._scope:
                if self._stopping:
                    self._set_deadlines()
                await self._flush_until_stopped()
            try:
                self._drop_undelivered()
            except Exception as error:
                self._report_error(error)
            self.finished.set()
        finally:
            if not (self.finished.is_set() or self._abandoned):
                self._on_interrupted(self)

    def stop(self) -> None:
        """Deliver what was recorded, for at most `shutdown_seconds`, and finish."""
        self._stopping = True
        self._call_in_loop(self._set_deadlines)

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` or `abandon` was called."""
        return self._stopping

    def abandon(self) -> None:
        """Do nothing more: this is the copy in a forked child of a flush loop that goes on in the parent."""
        self._abandoned = self._stopping = True

    def request_flush(self) -> threading.Event:
        """Request delivery of all that is recorded, unfinished buckets too. The event is set after one attempt."""
        done = threading.Event()
        self._requests.append(done)
        self._call_in_loop(self._wake_up)
        return done

    def _note_full_batch(self) -> None:
        """Send a full batch of transactions soon, before its bucket ends."""
        self._has_full_batch = True
        self._call_in_loop(self._wake_up)

    async def _flush_until_stopped(self) -> None:
        """Run the flush loop, and start it again after an error: no error may end all deliveries."""
        while True:
            try:
                return await self._run_flush_loop()
            except Exception as error:
                self._report_error(error)
            await anyio.sleep(RESTART_SECONDS)

    def _report_error(self, error: Exception) -> None:
        self._aggregator.report_error(error, "flush", "asyncdsm had an error in its flush loop, which starts again: %r")

    async def _run_flush_loop(self) -> None:
        exporter = await self._run_in_worker(self._load_exporter)
        try:
            pack_at = current_time() + self._settings.flush_seconds
            watermarks_at = self._next_watermarks_at()
            while not self._stopping:
                await self._sleep_until(
                    min(pack_at, watermarks_at, self._delivery.next_attempt_at if self._outbox else pack_at)
                )
                if self._abandoned:
                    return
                if current_time() >= watermarks_at:
                    await self._high_watermarks.record_all()
                    watermarks_at = self._next_watermarks_at()
                requests, self._requests = self._requests, []
                if requests or self._has_full_batch or current_time() >= pack_at:
                    pack_at, self._has_full_batch = current_time() + self._settings.flush_seconds, False
                    await self._pack_buckets(unfinished=bool(requests))
                if requests or current_time() >= self._delivery.next_attempt_at:
                    await self._deliver(exporter)
                for request in requests:
                    request.set()
            if not self._abandoned:
                await self._pack_buckets(unfinished=True)
                await self._delivery.drain(exporter)
        finally:
            with move_on_after(1, shield=True):
                await exporter.aclose()

    async def _run_in_worker(self, work: Callable[[], T]) -> T:
        """Do slow work outside of the user's event loop."""
        return run_blocking(work) if self._in_own_thread else await to_thread.run_sync(work, limiter=self._limiter)

    def _load_exporter(self) -> Exporter:
        # Protobuf, MessagePack and HTTP take 0.2 s to import: do it in the worker thread, and not before the start.
        with forks.import_lock:
            self._packer.import_encoder()
            return self._make_exporter()

    def _next_watermarks_at(self) -> float:
        return current_time() + self._high_watermarks.seconds_until_due()

    async def _sleep_until(self, time: float) -> None:
        """Sleep until a time of the event loop's clock, or until `_wake_up` is called."""
        if not (self._requests or self._has_full_batch):
            with move_on_after(max(0.0, time - current_time())):
                await self._wake.wait()
        self._wake = anyio.Event()

    async def _pack_buckets(self, *, unfinished: bool) -> None:
        take_over_from_ddtrace()  # ddtrace may have been imported in the meantime
        await self._high_watermarks.record_all()
        await self._run_in_worker(partial(self._packer.pack_buckets, unfinished=unfinished))

    async def _deliver(self, exporter: Exporter) -> None:
        with self._delivery_scope:
            await self._delivery.deliver_waiting(exporter)
        self._delivery_scope = CancelScope()

    def _drop_undelivered(self) -> None:
        counters = self._aggregator.counters
        lost = self._outbox.drop_all("shutdown")
        if not self._abandoned:
            recorded = sum(bucket.recorded for bucket in self._aggregator.take())
            recorded += sum(batch.count for batch in self._aggregator.take_transactions())
            counters.drop("shutdown", recorded)
            counters.increment("facts_dropped", sum(batch.count_facts() for batch in self._aggregator.take_facts()))
            lost += recorded
        if lost:
            message = "asyncdsm lost %s, not delivered before the program ended"
            warn_each_minute("shutdown", message, pluralize(lost, "checkpoint"))

    def _wake_up(self) -> None:
        self._wake.set()

    def _set_deadlines(self) -> None:
        if self._loop is not None:
            now, seconds = self._loop.time(), self._settings.shutdown_seconds
            self._scope.deadline = now + seconds
            self._delivery_scope.deadline = now + seconds * HEDGE_AFTER  # leaves time for another attempt
            self._wake.set()

    def _call_in_loop(self, function: Callable[[], object]) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon(function)
            except RuntimeError:  # the event loop is closed: `run` in the next one sees what was asked for
                self._loop = None
