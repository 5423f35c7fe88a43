"""`DataStreams`: the one object that owns what runs. Start, stop, fork, exit."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from asyncdsm._internal import forks
from asyncdsm._internal.ddtrace_compat import disable_ddtrace_streams
from asyncdsm._internal.log import pluralize, warn_each_minute
from asyncdsm.core import checkpoint, lag
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.core.ddtrace_manual import take_over_from_ddtrace
from asyncdsm.core.lag import Lag
from asyncdsm.core.recorder import Recorder
from asyncdsm.errors import AlreadyRunningError
from asyncdsm.settings import Settings

if TYPE_CHECKING:
    from asyncdsm.delivery.event_loops import LoopMain
    from asyncdsm.delivery.exporters import Exporter
    from asyncdsm.delivery.flusher import Flusher

T = TypeVar("T")

GRACE_SECONDS = 2.0
"""Beyond the deadline for delivery, for closing connections and for a worker thread to come back."""


class DataStreams:
    """Measures every message of the clients that are wrapped, from start to stop. One runs at a time.

    `async with DataStreams():` on asyncio or trio; `await start()` and `await aclose()`, from any tasks;
    `with DataStreams():` in a synchronous program. What is recorded is delivered on the way out, within
    `settings.shutdown_seconds`; after a fork the child starts again by itself, with nothing of its parent's.
    """

    def __init__(
        self, settings: Settings | None = None, *, exporter: Callable[[], Exporter] | Exporter | None = None
    ) -> None:
        """`settings` come from the environment by default; `exporter`, or what makes one, replaces the Agent.

        Raises SettingError when the environment holds a wrong value, TypeError for settings that are none.
        """
        self.settings: Settings = Settings.from_environ(os.environ) if settings is None else settings
        if not isinstance(self.settings, Settings):
            raise TypeError(f"settings must be an asyncdsm.Settings, got {type(settings).__name__}")
        self._exporter = exporter
        self._counters = Counters()
        self._aggregator: Aggregator | None = None
        self._flusher: Flusher | None = None
        self._is_alive: Callable[[], bool] = lambda: False

    @property
    def stats(self) -> Stats:
        """The counters of this process: `recorded == delivered + pending + dropped`, at every moment."""
        aggregator = self._aggregator
        return self._counters.snapshot() if aggregator is None else aggregator.stats()

    def lag(self) -> list[Lag]:
        """Return how far behind each consumer is, per group, topic and partition, from what the clients know."""
        return list(lag.current_lags(report_hook_error))

    async def start(self) -> None:
        """Start, flushing in this event loop. Raises AlreadyRunningError."""
        from asyncdsm.delivery import event_loops  # noqa: PLC0415

        self._start(event_loops.start_in_current_loop)

    async def aclose(self) -> None:
        """Stop, and deliver what was recorded, also when this task is being cancelled."""
        flusher = self._stop()
        if flusher is not None:
            from anyio import CancelScope  # noqa: PLC0415

            with CancelScope(shield=True):
                await self._in_thread(self._wait_for_end, flusher)
            if not flusher.finished.is_set():
                self._say_undelivered()

    def stand_by(self) -> None:
        """Start at the first checkpoint, in a thread of its own, whenever no other DataStreams runs.

        One that is started meanwhile takes the checkpoints for as long as it runs. At most one stands by: while
        another does, nothing happens.
        """
        if not self.settings.enabled or _captured is not None:
            return
        disable_ddtrace_streams(measuring=False)
        with _starting:
            if _standby is None and self is not _running:
                self._aggregator = None  # of an earlier life, whose flush has ended
                _set_standby(self)
                _bring_to_front()

    def close(self) -> None:
        """Stop a synchronous program's DataStreams, and deliver what was recorded."""
        flusher = self._stop()
        if flusher is not None:
            self._wait_for_end(flusher)
            if not flusher.finished.is_set():
                self._say_undelivered()

    async def flush(self) -> None:
        """Send all that was recorded up to now, unfinished buckets too; returns after one try."""
        flusher = self._flusher
        if flusher is not None:
            await self._in_thread(flusher.request_flush().wait, self._patience)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        from asyncdsm.delivery import event_loops  # noqa: PLC0415

        self._start(event_loops.start_in_thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _in_thread(self, wait: Callable[[T], object], argument: T) -> None:
        """Wait for what the flush does, wherever it lives."""
        from anyio import CapacityLimiter, to_thread  # noqa: PLC0415

        await to_thread.run_sync(wait, argument, abandon_on_cancel=True, limiter=CapacityLimiter(1))

    def _wait_for_end(self, flusher: Flusher) -> None:
        """Wait until the flush has ended, and its thread with it, if it has one: a test suite may look for threads."""
        thread = getattr(self._is_alive, "__self__", None)
        if flusher.finished.wait(self._patience) and isinstance(thread, threading.Thread):
            thread.join(GRACE_SECONDS)

    def _say_undelivered(self) -> None:
        """The flush did not come to its end in time: it had no turn, or waits for what cannot be cancelled."""
        pending = self.stats.pending
        if pending:
            warn_each_minute("late", "not delivered in time, and perhaps lost: %s", pluralize(pending, "checkpoint"))

    @property
    def _patience(self) -> float:
        return self.settings.shutdown_seconds + GRACE_SECONDS

    def _start(self, host: Callable[[LoopMain], Callable[[], bool]]) -> None:
        if not self.settings.enabled or _captured is not None:
            return
        take_over_from_ddtrace()  # before the lock: what it says may be sent by a client that is followed
        with _starting:
            if _running is not None or self is _standby:
                raise AlreadyRunningError(
                    "a DataStreams is running in this process already, or this one stands by: close it first"
                )
            self._begin(host)
            _set_running(self)
            _bring_to_front()

    def _begin(self, host: Callable[[LoopMain], Callable[[], bool]]) -> None:
        from asyncdsm.delivery.flusher import Flusher  # noqa: PLC0415

        forks.make_forks_wait_for_imports()
        settings, self._counters = self.settings, Counters()
        self._aggregator = aggregator = Aggregator(
            settings.service,
            settings.env,
            bucket_ns=round(settings.bucket_seconds * 1e9),
            max_points=settings.max_points,
            max_header_bytes=settings.max_header_bytes,
            counters=self._counters,
        )
        self._flusher = flusher = Flusher(aggregator, settings, self._make_exporter, self._move)
        self._is_alive = host(flusher.run)

    def _stop(self) -> Flusher | None:
        with _starting:
            if self is _running:
                _set_running(None)
            elif self is _standby:
                _set_standby(None)
            else:
                return None
            _bring_to_front()
            flusher, self._flusher = self._flusher, None
        if flusher is not None:
            flusher.stop()
            if not self._is_alive():
                self._move(flusher)
        return flusher

    def _move(self, flusher: Flusher) -> None:
        """Let the flush go on in a thread, when its event loop ended with it; at the interpreter's end, finish here."""
        from asyncdsm.delivery.event_loops import run_in_own_loop, start_in_thread  # noqa: PLC0415

        try:
            self._is_alive = start_in_thread(flusher.run)
        except RuntimeError:
            self._is_alive = lambda: False
            if flusher.is_stopping:
                run_in_own_loop(flusher.run)

    def _make_exporter(self) -> Exporter:
        if self._exporter is None:
            from asyncdsm.delivery.exporters.agent import AgentExporter  # noqa: PLC0415

            return AgentExporter(self.settings)
        return self._exporter() if callable(self._exporter) else self._exporter

    def _forget_parent(self) -> None:
        """In a forked child: nothing of the parent's, neither locks nor threads nor what it recorded."""
        if self._flusher is not None:
            self._flusher.abandon()
        self._aggregator = self._flusher = None
        self._counters = Counters()
        self._is_alive = lambda: False

    def _wake_up(self) -> Aggregator | None:
        """Start at the first checkpoint: of a forked child, or of one that stands by."""
        from asyncdsm.delivery.event_loops import start_in_thread  # noqa: PLC0415

        take_over_from_ddtrace()  # before the lock, as above
        with _starting:
            if self not in (_running, _standby):
                return None
            if self._aggregator is None:
                with suppress(RuntimeError):  # no thread can be started any more: what is recorded, `close` delivers
                    self._begin(start_in_thread)
                _bring_to_front()
            return self._aggregator


_running: DataStreams | None = None
_standby: DataStreams | None = None
_captured: Recorder | None = None
_starting = threading.Lock()


def running_streams() -> DataStreams | None:
    """Return the DataStreams that runs in this process, or stands by."""
    return _running or _standby


def _set_running(streams: DataStreams | None) -> None:
    global _running  # noqa: PLW0603
    _running = streams


def _set_standby(streams: DataStreams | None) -> None:
    global _standby  # noqa: PLW0603
    _standby = streams


@contextmanager
def capturing(recorder: Recorder) -> Iterator[None]:
    """Let all checkpoints go to this recorder inside the block, where a DataStreams that is started does nothing.

    Raises AlreadyRunningError when a DataStreams runs or something captures already.
    """
    global _captured  # noqa: PLW0603
    with _starting:
        if _running is not None or _captured is not None:
            raise AlreadyRunningError("a DataStreams is running, or something captures already: one at a time")
        _captured = recorder
        _bring_to_front()
    try:
        yield
    finally:
        _captured = None
        _bring_to_front()


def _bring_to_front() -> None:
    """Let checkpoints go to what captures them, else to what runs, else to what stands by."""
    front = _running or _standby
    if _captured is not None:
        checkpoint.set_recorder(_captured)
    elif front is not None:
        checkpoint.set_recorder(front._aggregator, front._wake_up)
    else:
        checkpoint.set_recorder(None)


def _after_fork() -> None:
    global _starting  # noqa: PLW0603
    _starting = threading.Lock()
    for streams in (_running, _standby):
        if streams is not None:
            streams._forget_parent()
    _bring_to_front()


def _close_at_exit() -> None:
    for streams in (_running, _standby):
        if streams is not None:
            streams.close()


forks.call_in_forked_child(_after_fork)
# `threading`'s own hook runs in the children of multiprocessing too, which `atexit` does not. It is private, and
# `concurrent.futures` stands on it.
getattr(threading, "_register_atexit", atexit.register)(_close_at_exit)
# Where gevent is installed, ddtrace removes `threading` from the imported modules, and the hook is in the old one.
atexit.register(_close_at_exit)
