"""The flush loop: every 10 s it has finished buckets encoded in a worker thread, and delivers them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio
from anyio import CancelScope, CapacityLimiter, create_task_group, current_time, move_on_after, to_thread
from anyio.abc import TaskGroup

from asyncdsm._internal import forks
from asyncdsm._internal.log import pluralize, warn_each_minute
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.ddtrace_manual import take_over_from_ddtrace
from asyncdsm.core.lag import Lag
from asyncdsm.delivery.bucket_packer import BucketPacker
from asyncdsm.delivery.destination import Destination
from asyncdsm.delivery.event_loops import LoopHandle, current_loop_handle, run_blocking
from asyncdsm.delivery.high_watermarks import HighWatermarkRecorder
from asyncdsm.delivery.retry import HEDGE_AFTER
from asyncdsm.errors import SettingError
from asyncdsm.settings import Settings

T = TypeVar("T")

RESTART_SECONDS = 1.0


class Flusher:
    """Takes the aggregator's buckets to the destinations until it is stopped.

    With one destination, the flush loop itself delivers. With two, each delivers in a task of its own, so that neither
    waits for the other.

    `run` may be cancelled and run again in another event loop: what waits for delivery is kept. `finished` is set when
    the last payload was delivered or given up. Every method but `run` may be called from any thread.
    """

    def __init__(
        self,
        aggregator: Aggregator,
        settings: Settings,
        destinations: Sequence[Destination],
        on_interrupted: Callable[[Flusher], None],
        watch_spans: Callable[[], None],
    ) -> None:
        """`on_interrupted` is called if `run` ends before it is finished, because its event loop ends.

        `watch_spans` is called at each flush, and looks for what the program has imported meanwhile.
        """
        self._aggregator, self._settings, self._destinations = aggregator, settings, destinations
        self._on_interrupted, self._watch_spans = on_interrupted, watch_spans
        self._packer = BucketPacker(aggregator, settings, [each.packer for each in destinations])
        self._high_watermarks = HighWatermarkRecorder(aggregator)
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
        self._loop = current_loop_handle()
        for destination in self._destinations:
            destination.begin()
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
        """Run the flush loop, and start it again after an error: no error may end all deliveries.

        At the end, a wrong setting is not tried again: it would be as wrong until the deadline.
        """
        while True:
            try:
                await self._run_flush_loop()
                return
            except Exception as error:
                self._report_error(error)
                if self._stopping and isinstance(error, SettingError):
                    return
            with move_on_after(RESTART_SECONDS):
                await self._wake.wait()
            self._wake = anyio.Event()

    def _report_error(self, error: Exception) -> None:
        if isinstance(error, SettingError):  # such as a file that is not there
            self._aggregator.report_error(error, "setting", "asyncdsm cannot deliver, and will try again: %s")
            return
        self._aggregator.report_error(error, "flush", "asyncdsm had an error in its flush loop, which starts again: %r")

    async def _run_flush_loop(self) -> None:
        try:
            await self._run_in_worker(self._import_encoders)
            if len(self._destinations) == 1:
                await self._destinations[0].load_exporter(self._run_in_worker)
                await self._flush_and_deliver(None)
            else:
                async with create_task_group() as tasks:
                    for destination in self._destinations:  # now, so that what is wrong is known from the start
                        tasks.start_soon(self._load, destination)
                    await self._flush_and_deliver(tasks)
        finally:
            for destination in self._destinations:
                await destination.aclose()

    async def _flush_and_deliver(self, tasks: TaskGroup | None) -> None:
        """Flush until stopped, then deliver the rest. Deliveries run in `tasks`, or here if there are none."""
        pack_at = current_time() + self._settings.flush_seconds
        watermarks_at = self._next_watermarks_at()
        while not self._stopping:
            attempts = (each.next_attempt_at for each in self._destinations)
            await self._sleep_until(min(pack_at, watermarks_at, *(at for at in attempts if at is not None)))
            if self._abandoned:
                return
            if current_time() >= watermarks_at:
                await self._high_watermarks.record_all()
                watermarks_at = self._next_watermarks_at()
            requests, self._requests = self._requests, []
            if requests or self._has_full_batch or current_time() >= pack_at:
                pack_at, self._has_full_batch = current_time() + self._settings.flush_seconds, False
                await self._pack_buckets(unfinished=bool(requests))
            due = [each for each in self._destinations if requests or each.is_due]
            if tasks is None:
                await self._deliver_to(due, requests)
            elif due:
                tasks.start_soon(self._deliver_beside, due, requests)
        if not self._abandoned:
            await self._pack_buckets(unfinished=True)
            await self._drain()

    async def _deliver_to(self, due: Sequence[Destination], requests: Sequence[threading.Event]) -> None:
        for destination in due:
            await destination.deliver()
        for request in requests:
            request.set()

    async def _deliver_beside(self, due: Sequence[Destination], requests: Sequence[threading.Event]) -> None:
        """Deliver to several destinations at once. No error of one, such as a missing certificate, stops the other."""
        async with create_task_group() as tasks:
            for destination in due:
                tasks.start_soon(self._load_and_deliver, destination)
        for request in requests:
            request.set()
        self._wake_up()  # the time of the next attempt is known now

    async def _load(self, destination: Destination) -> None:
        try:
            await destination.load_exporter(self._run_in_worker)
        except Exception as error:
            destination.postpone()
            self._report_error(error)

    async def _load_and_deliver(self, destination: Destination) -> None:
        try:
            await destination.load_exporter(self._run_in_worker)
            await destination.deliver()
        except Exception as error:
            destination.postpone()
            self._report_error(error)

    async def _load_and_drain(self, destination: Destination) -> None:
        try:
            await destination.load_exporter(self._run_in_worker)
            await destination.drain()
        except Exception as error:
            self._report_error(error)

    async def _drain(self) -> None:
        if len(self._destinations) == 1:
            await self._destinations[0].drain()
            return
        async with create_task_group() as tasks:
            for destination in self._destinations:
                tasks.start_soon(self._load_and_drain, destination)

    async def _run_in_worker(self, work: Callable[[], T]) -> T:
        """Do slow work outside of the user's event loop."""
        return run_blocking(work) if self._in_own_thread else await to_thread.run_sync(work, limiter=self._limiter)

    def _import_encoders(self) -> None:
        # Protobuf, MessagePack and HTTP take 0.2 s to import: do it in the worker thread, and not before the start.
        with forks.import_lock:
            for destination in self._destinations:
                try:
                    destination.packer.import_encoder()
                except Exception as error:
                    if len(self._destinations) == 1:
                        raise
                    self._report_error(error)  # the other one goes on; what cannot be encoded is counted

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
        if not self._stopping:
            self._watch_spans()
        await self._high_watermarks.record_all()
        lags: list[Lag] = await self._high_watermarks.read_lags() if self._packer.reads_lags else []
        await self._run_in_worker(partial(self._packer.pack_buckets, unfinished=unfinished, lags=lags))

    def _drop_undelivered(self) -> None:
        lost = max(destination.outbox.drop_all("shutdown") for destination in self._destinations)
        if not self._abandoned:
            recorded = sum(bucket.recorded for bucket in self._aggregator.take())
            self._aggregator.drop_everywhere("shutdown", recorded)
            transactions = sum(batch.count for batch in self._aggregator.take_transactions())
            self._aggregator.counters.drop("shutdown", transactions)
            facts = sum(batch.count_facts() for batch in self._aggregator.take_facts())
            self._aggregator.counters.increment("facts_dropped", facts)
            lost += recorded + transactions
        if lost:
            message = "asyncdsm lost %s, not delivered before the program ended"
            warn_each_minute("shutdown", message, pluralize(lost, "checkpoint"))

    def _wake_up(self) -> None:
        self._wake.set()

    def _set_deadlines(self) -> None:
        if self._loop is not None:
            now, seconds = self._loop.time(), self._settings.shutdown_seconds
            self._scope.deadline = now + seconds
            for destination in self._destinations:
                destination.limit_delivery(now + seconds * HEDGE_AFTER)  # leaves time for another attempt
            self._wake.set()

    def _call_in_loop(self, function: Callable[[], object]) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon(function)
            except RuntimeError:  # the event loop is closed: `run` in the next one sees what was asked for
                self._loop = None
