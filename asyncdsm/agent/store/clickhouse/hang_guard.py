"""Lets statements fail soon while ClickHouse hangs: those that wait when a ping is not answered, and the next ones."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from time import monotonic
from typing import TypeVar

from asyncdsm.errors import StoreUnavailableError

WATCH_SECONDS, PING_SECONDS = 0.5, 1.5
"""After how long without an answer ClickHouse is pinged, again and again, and how long it has to answer a ping."""
SPARED_SECONDS = 5.0
"""For how long after a statement without an answer the next ones fail at once. Then one is tried."""
T = TypeVar("T")


class HangGuard:
    """Knows whether ClickHouse answered lately. Any thread may use it."""

    def __init__(self, ping: Callable[[], bool], ticks: Callable[[], float] = monotonic) -> None:
        """`ping` tells whether ClickHouse answers, if it returns; `ticks` returns seconds of a clock that nobody sets.

        A ping is answered while queries take long, however long.
        """
        self._ping, self._ticks, self._lock = ping, ticks, Lock()
        self._problem, self._spared_until = "", 0.0

    def check(self) -> None:
        """Return if a statement may be tried. Raises StoreUnavailableError, with what is known, if it would hang."""
        with self._lock:
            if not self._problem:
                return
            if self._ticks() < self._spared_until:
                raise StoreUnavailableError(self._problem)
            # This one is tried. Others fail until it is known what becomes of it.
            self._spared_until = self._ticks() + WATCH_SECONDS + PING_SECONDS

    def run_statement(self, statement: Callable[[], T]) -> T:
        """Return what a statement returns, or raise what it raises. Raises TimeoutError if ClickHouse hangs meanwhile.

        Then the statement goes on in its thread until its own time is over.
        """
        running = _start(statement)
        while True:
            try:
                return running.result(WATCH_SECONDS)
            except TimeoutError:
                if running.done():
                    return running.result()
            if not self._is_answered():
                raise TimeoutError
            self.note_answer()

    def note_answer(self) -> None:
        """Record that ClickHouse answered in time, with whatever."""
        self._problem = ""

    def note_hang(self, problem: str) -> None:
        """Record that a statement was not answered in time."""
        with self._lock:
            self._problem, self._spared_until = problem, self._ticks() + SPARED_SECONDS

    def _is_answered(self) -> bool:
        try:
            return _start(self._ping).result(PING_SECONDS)
        except Exception:
            return False


def _start(call: Callable[[], T]) -> Future[T]:
    """Call a function in a thread that does not keep the agent from ending."""
    future = Future[T]()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # whoever waits for the result gets it
            future.set_exception(error)

    Thread(target=run, name="asyncdsm-clickhouse", daemon=True).start()
    return future
