"""`DataStreams`: starts and stops the measuring, also across forks and at the end of the process."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from asyncdsm._internal import forks, otlp_environment
from asyncdsm._internal.log import info, pluralize, warn_each_minute
from asyncdsm.core import checkpoint, implementation, lag, spans
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.core.ddtrace_manual import take_over_from_ddtrace
from asyncdsm.core.extractors import set_extractors
from asyncdsm.core.lag import Lag
from asyncdsm.core.recorder import Recorder
from asyncdsm.core.topic_names import set_patterns_without_context, set_topic_patterns
from asyncdsm.errors import AlreadyRunningError
from asyncdsm.settings import Settings

if TYPE_CHECKING:
    from asyncdsm.delivery.destination import Destination
    from asyncdsm.delivery.event_loops import LoopMain
    from asyncdsm.delivery.exporters import Exporter
    from asyncdsm.delivery.flusher import Flusher

T = TypeVar("T")

GRACE_SECONDS = 2.0
"""How long, after the deadline for delivery, connections may take to close and a worker thread to return."""


class DataStreams:
    """Measures the messages of all followed clients, from start to stop. Only one runs at a time.

    `async with DataStreams():` on asyncio or trio; `await start()` and `await aclose()`, from any tasks;
    `with DataStreams():` in a synchronous program. What is recorded is delivered on the way out, within
    `settings.shutdown_seconds`. After a fork the child starts anew by itself, without its parent's checkpoints.
    """

    def __init__(
        self, settings: Settings | None = None, *, exporter: Callable[[], Exporter] | Exporter | None = None
    ) -> None:
        """`settings` are read from the environment by default. `exporter` replaces delivery to the Agent.

        `exporter` is an Exporter, or a function that returns one. The function is called in the event loop that will
        use the exporter, and again in each forked child.

        Raises SettingError for a wrong value in the environment, TypeError for settings of another type.
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
        """The counters of this process. At every moment, `recorded == delivered + pending + dropped`."""
        aggregator = self._aggregator
        return self._counters.to_stats() if aggregator is None else aggregator.stats()

    @property
    def core(self) -> Literal["native", "plain"]:
        """Which core measures: the native one, or the slower plain one. `asyncdsm doctor` says why it is that one."""
        return "plain" if implementation.native is None else "native"

    def lag(self) -> list[Lag]:
        """Return the lag of each consumer, by group, topic and partition, as far as the clients know it.

        Where several clients tell of the same, it is the largest.
        """
        return lag.largest_lags(report_hook_error)

    async def start(self) -> None:
        """Start measuring, with the flush task in this event loop.

        Raises AlreadyRunningError if a DataStreams runs in this process. Does nothing if `settings.enabled` is false,
        and inside `asyncdsm.testing.capture`.
        """
        from asyncdsm.delivery import event_loops  # noqa: PLC0415

        self._start(event_loops.start_in_current_loop)

    async def aclose(self) -> None:
        """Stop, and deliver what was recorded, also when this task is being cancelled.

        Takes `settings.shutdown_seconds` and two seconds at most. What is not delivered by then is dropped and logged.
        """
        flusher = self._stop()
        if flusher is not None:
            from anyio import CancelScope  # noqa: PLC0415

            with CancelScope(shield=True):
                await self._wait_in_thread(self._wait_for_end, flusher)
            if not flusher.finished.is_set():
                self._warn_of_undelivered()

    def stand_by(self) -> None:
        """Wait for the first checkpoint, then start with the flush in a thread, unless another DataStreams runs.

        A DataStreams that is started meanwhile gets the checkpoints for as long as it runs. Only one waits at a time:
        while another one does, this call does nothing.
        """
        if not self.settings.enabled or _captured is not None:
            return
        take_over_from_ddtrace(measuring=False)
        with _starting:
            if _standby is None and self is not _running:
                self._aggregator = None  # from an earlier run, whose flush has ended
                _set_standby(self)
                _choose_recorder()

    def close(self) -> None:
        """Stop a synchronous program's DataStreams, and deliver what was recorded."""
        flusher = self._stop()
        if flusher is not None:
            self._wait_for_end(flusher)
            if not flusher.finished.is_set():
                self._warn_of_undelivered()

    async def flush(self) -> None:
        """Send everything recorded so far, unfinished buckets too. Returns after one attempt."""
        flusher = self._flusher
        if flusher is not None:
            await self._wait_in_thread(flusher.request_flush().wait, self._patience)

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

    async def _wait_in_thread(self, wait: Callable[[T], object], argument: T) -> None:
        """Wait for the flush, in whichever event loop or thread it runs."""
        from anyio import CapacityLimiter, to_thread  # noqa: PLC0415

        await to_thread.run_sync(wait, argument, abandon_on_cancel=True, limiter=CapacityLimiter(1))

    def _wait_for_end(self, flusher: Flusher) -> None:
        """Wait until the flush has ended, and its thread, if it has one: a test suite may check for threads."""
        thread = getattr(self._is_alive, "__self__", None)
        if flusher.finished.wait(self._patience) and isinstance(thread, threading.Thread):
            thread.join(GRACE_SECONDS)

    def _warn_of_undelivered(self) -> None:
        """Warn that the flush did not end in time: it got no turn, or waits for something that cannot be cancelled."""
        pending = self.stats.pending
        if pending:
            warn_each_minute(
                "late",
                "asyncdsm may have lost %s: the last delivery did not end in time",
                pluralize(pending, "checkpoint"),
            )

    @property
    def _patience(self) -> float:
        return self.settings.shutdown_seconds + GRACE_SECONDS

    def _start(self, host: Callable[[LoopMain], Callable[[], bool]]) -> None:
        if not self.settings.enabled or _captured is not None:
            return
        take_over_from_ddtrace()  # before the lock: a log handler may send its warning through a followed client
        with _starting:
            if _running is not None or self is _standby:
                raise AlreadyRunningError(
                    "a DataStreams runs in this process already, or stand_by() has started this one: close it first"
                )
            self._begin(host)
            _set_running(self)
            _choose_recorder()

    def _begin(self, host: Callable[[LoopMain], Callable[[], bool]]) -> None:
        from asyncdsm.delivery.destinations import make_agent_destination, make_otlp_destination  # noqa: PLC0415
        from asyncdsm.delivery.flusher import Flusher  # noqa: PLC0415

        forks.make_forks_wait_for_imports()
        settings, self._counters = self.settings, Counters()
        chosen = self._choose_destinations()
        otlp_counters = (Counters() if "agent" in chosen else self._counters) if "otlp" in chosen else None
        self._aggregator = aggregator = Aggregator(
            settings.service,
            settings.env,
            bucket_ns=round(settings.bucket_seconds * 1e9),
            max_points=settings.max_points,
            max_header_bytes=settings.max_header_bytes,
            max_transaction_bytes=settings.max_transaction_bytes,
            counters=self._counters,
            otlp_counters=otlp_counters,
        )
        destinations: list[Destination] = []
        if "agent" in chosen:
            destinations.append(make_agent_destination(aggregator, settings, self._make_exporter))
        exemplars = None
        if "otlp" in chosen:
            exemplars = spans.Exemplars()
            destinations.append(make_otlp_destination(aggregator, settings, exemplars))
        watch_spans = partial(spans.watch_spans, exemplars)
        watch_spans()
        self._flusher = flusher = Flusher(aggregator, settings, destinations, self._continue_in_thread, watch_spans)
        self._is_alive = host(flusher.run)

    def _choose_destinations(self) -> tuple[str, ...]:
        """Return where payloads go. An exporter of the program's own stands for the agent."""
        chosen = self.settings.choose_destinations()
        if self._exporter is not None and "agent" not in chosen:
            chosen = ("agent", *chosen)
        if "otlp" not in chosen or otlp_environment.is_extra_installed():
            return chosen
        info(
            "asyncdsm sends nothing to the OTLP endpoint, but payloads to the agent: the extra is missing "
            "(pip install 'asyncdsm[otlp]')"
        )
        return ("agent",)

    def _stop(self) -> Flusher | None:
        with _starting:
            if self is _running:
                _set_running(None)
            elif self is _standby:
                _set_standby(None)
            else:
                return None
            _choose_recorder()
            flusher, self._flusher = self._flusher, None
        if flusher is not None:
            flusher.stop()
            spans.ignore_spans()
            if not self._is_alive():
                self._continue_in_thread(flusher)
        return flusher

    def _continue_in_thread(self, flusher: Flusher) -> None:
        """Continue the flush in a thread, after its event loop has ended. At the interpreter's end, finish it here."""
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
        """Keep nothing of the parent in a forked child: no locks, no threads, no checkpoints."""
        if self._flusher is not None:
            self._flusher.abandon()
        self._aggregator = self._flusher = None
        self._counters = Counters()
        self._is_alive = lambda: False

    def _start_late(self) -> Aggregator | None:
        """Start at the first checkpoint, in a forked child or after `stand_by`."""
        from asyncdsm.delivery.event_loops import start_in_thread  # noqa: PLC0415

        take_over_from_ddtrace()  # before the lock, as above
        with _starting:
            if self not in (_running, _standby):
                return None
            if self._aggregator is None:
                with suppress(RuntimeError):  # no thread can be started any more: `close` delivers what is recorded
                    self._begin(start_in_thread)
                _choose_recorder()
            return self._aggregator


_running: DataStreams | None = None
_standby: DataStreams | None = None
_captured: Recorder | None = None
_starting = threading.Lock()


def running_streams() -> DataStreams | None:
    """Return the DataStreams that runs in this process or waits for its first checkpoint."""
    return _running or _standby


def _set_running(streams: DataStreams | None) -> None:
    global _running  # noqa: PLW0603
    _running = streams


def _set_standby(streams: DataStreams | None) -> None:
    global _standby  # noqa: PLW0603
    _standby = streams


@contextmanager
def capturing(recorder: Recorder) -> Iterator[None]:
    """Send all checkpoints inside the block to this recorder. A DataStreams that is started there does nothing.

    Raises AlreadyRunningError while a DataStreams runs, and inside another such block.
    """
    global _captured  # noqa: PLW0603
    with _starting:
        if _running is not None or _captured is not None:
            raise AlreadyRunningError("a DataStreams is running, or another capture is active: only one can")
        _captured = recorder
        _choose_recorder()
    try:
        yield
    finally:
        _captured = None
        _choose_recorder()


def _choose_recorder() -> None:
    """Send checkpoints to the capturing recorder, else to the running DataStreams, else to the one that waits."""
    front = _running or _standby
    settings = None if front is None or _captured is not None else front.settings
    set_extractors(() if settings is None else settings.transaction_extractors)
    set_topic_patterns(() if settings is None else settings.topic_patterns)
    set_patterns_without_context(() if settings is None else settings.redis_without_context)
    if _captured is not None:
        checkpoint.set_recorder(_captured)
    elif front is not None:
        checkpoint.set_recorder(front._aggregator, front._start_late)
    else:
        checkpoint.set_recorder(None)


def _after_fork() -> None:
    global _starting  # noqa: PLW0603
    _starting = threading.Lock()
    for streams in (_running, _standby):
        if streams is not None:
            streams._forget_parent()
    _choose_recorder()


def _close_at_exit() -> None:
    for streams in (_running, _standby):
        if streams is not None:
            streams.close()


forks.call_in_forked_child(_after_fork)
# The hook of `threading` runs in the children of multiprocessing too, that of `atexit` does not. It is private, but
# `concurrent.futures` relies on it.
getattr(threading, "_register_atexit", atexit.register)(_close_at_exit)
# Where gevent is installed, ddtrace removes `threading` from the imported modules, and the hook is in the old one.
atexit.register(_close_at_exit)
