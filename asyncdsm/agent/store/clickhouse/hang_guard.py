"""Lets statements fail at once while ClickHouse hangs: the first one waits for an answer, the next ones do not."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic

from asyncdsm.errors import StoreUnavailableError

SPARED_SECONDS = 5.0
"""For how long after a statement without an answer the next ones fail at once. Then one is tried."""


class HangGuard:
    """Knows whether the last statement was answered in time. Any thread may use it."""

    def __init__(self, answer_seconds: float, ticks: Callable[[], float] = monotonic) -> None:
        """`answer_seconds` is how long an answer may take; `ticks` returns seconds of a clock that nobody sets."""
        self._answer_seconds, self._ticks, self._lock = answer_seconds, ticks, Lock()
        self._problem, self._spared_until = "", 0.0

    def check(self) -> None:
        """Return if a statement may be tried. Raises StoreUnavailableError, with what is known, if it would hang."""
        with self._lock:
            if not self._problem:
                return
            if self._ticks() < self._spared_until:
                raise StoreUnavailableError(self._problem)
            # This one is tried. Others fail for as long as it may take.
            self._spared_until = self._ticks() + self._answer_seconds

    def note_answer(self) -> None:
        """Record that a statement was answered in time, with whatever."""
        self._problem = ""

    def note_hang(self, problem: str) -> None:
        """Record that a statement was not answered in time."""
        with self._lock:
            self._problem, self._spared_until = problem, self._ticks() + SPARED_SECONDS
