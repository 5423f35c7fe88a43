"""Taking payloads in groups: one transaction for all that came while the one before was written."""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import suppress

from anyio import CapacityLimiter, Lock, to_thread

from asyncdsm.agent.intake import IntakeError, read_report
from asyncdsm.agent.store import Store, Taken
from asyncdsm.agent.store_file import StoreFullError
from asyncdsm.log import warn_each_minute

MOST_TOGETHER = 64


class _Waiting:
    """A payload whose sender waits for an answer."""

    def __init__(self, body: bytes, encoding: str) -> None:
        self.body, self.encoding = body, encoding
        self.done = False
        self.error: IntakeError | None = None


class Taking:
    """Reads payloads and stores them in a worker thread, one turn after the other, for one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Waiting] = deque()
        self._turn, self._limiter = Lock(), CapacityLimiter(1)

    async def take(self, body: bytes, encoding: str) -> None:
        """Return once the payload is stored. Raises IntakeError: what is wrong with it, or why it cannot be stored."""
        waiting = _Waiting(body, encoding)
        self._waiting.append(waiting)
        try:
            while not waiting.done:
                async with self._turn:  # whoever has it works for all that wait by then
                    if not waiting.done:
                        await to_thread.run_sync(self._take_turn, limiter=self._limiter)
        finally:
            if not waiting.done:  # its sender has left
                with suppress(ValueError, IndexError):  # the worker thread is taking it right now
                    self._waiting.remove(waiting)
        if waiting.error is not None:
            raise waiting.error

    def _take_turn(self) -> None:
        # They are taken out here: had the event loop done it and been cancelled, nobody would work for them.
        turn = list[_Waiting]()
        while self._waiting and len(turn) < MOST_TOGETHER:
            turn.append(self._waiting.popleft())
        taken = list[Taken]()
        read = list[_Waiting]()
        for waiting in turn:
            try:
                taken.append(Taken(read_report(waiting.body, waiting.encoding), waiting.encoding, waiting.body))
                read.append(waiting)
            except IntakeError as error:
                waiting.error, waiting.done = error, True
            except Exception as error:
                self._give_up([waiting], error)
        try:
            if taken:
                self._store.add_all(taken)
        except Exception as error:
            self._give_up(read, error)
        for waiting in read:
            waiting.done = True

    def _give_up(self, read: list[_Waiting], error: Exception) -> None:
        full = isinstance(error, StoreFullError)
        known = full or isinstance(error, sqlite3.Error)
        warn_each_minute("store", "payloads cannot be stored and are refused: %r", error)
        problem = str(error) if known else f"an error of the agent: {type(error).__name__}"
        for waiting in read:
            waiting.error, waiting.done = IntakeError("store", problem, 507 if full else 503 if known else 500), True
