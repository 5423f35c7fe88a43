"""IngestQueue payloads in groups: one transaction for all that came while the one before was written."""

from __future__ import annotations

import sqlite3
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from time import monotonic

from anyio import CapacityLimiter, Lock, to_thread

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.agent.intake.payload import IntakeError, Report, decompress_body, read_report
from asyncdsm.agent.store.store import AcceptedPayload, Store
from asyncdsm.errors import StoreFullError

MOST_TOGETHER = 64
READ_SECONDS = 0.25
"""A group is read for so long at most, and then stored: its senders wait for all of it."""
LARGE_BYTES, LARGE_UNPACKED_BYTES = 256 * 1024, 1024 * 1024
"""A body that is larger, packed or unpacked, waits for the smaller ones: it can take a second or two to read."""


class IntakeCounters:
    """Counts the answers of the intake since the agent started, and what it left out of the payloads it accepted."""

    def __init__(self) -> None:
        self.by_status: Counter[int] = Counter()
        """How many payloads were answered with each HTTP status."""
        self.repeated: int = 0
        """How many bodies were sent again and were not counted again."""
        self.unread: Counter[str] = Counter()
        """How many parts of payloads could not be read, by cause: in most cases the name of a field."""
        self.negatives: float = 0
        """How many latencies were below zero; they are counted as zeros."""

    def rejected(self) -> int:
        """Return how many payloads were not accepted."""
        return sum(count for status, count in self.by_status.items() if status != 202)


class _Waiting:
    """A payload whose sender waits for an answer."""

    def __init__(self, body: bytes, encoding: str) -> None:
        self.body, self.encoding = body, encoding
        self.is_large = len(body) > LARGE_BYTES
        self.done = False
        self.error: IntakeError | None = None


class IngestQueue:
    """Reads payloads and stores them in a worker thread, one turn after the other, for one event loop."""

    def __init__(self, store: Store, counters: IntakeCounters | None = None) -> None:
        """`counters` counts what is left out of the payloads."""
        self._store = store
        self._counters = counters if counters is not None else IntakeCounters()
        self._small, self._large = deque[_Waiting](), deque[_Waiting]()
        self._had_small = False
        self._turn, self._limiter = Lock(), CapacityLimiter(1)

    async def ingest_payload(self, body: bytes, encoding: str) -> None:
        """Return once the payload is stored. Raises IntakeError: what is wrong with it, or why it cannot be stored."""
        waiting = _Waiting(body, encoding)
        (self._large if waiting.is_large else self._small).append(waiting)
        try:
            while not waiting.done:
                async with self._turn:  # whoever has it works for all that wait by then
                    if not waiting.done:
                        await to_thread.run_sync(self._take_turn, limiter=self._limiter)
        finally:
            if not waiting.done:  # its sender has left
                for queue in (self._small, self._large):
                    with suppress(ValueError, IndexError):  # the worker thread is taking it right now
                        queue.remove(waiting)
        if waiting.error is not None:
            raise waiting.error

    def _take_turn(self) -> None:
        # They are taken out here: had the event loop done it and been cancelled, nobody would work for them.
        taken, read = list[AcceptedPayload](), list[_Waiting]()
        for waiting in self._next_group():
            try:
                unpacked = decompress_body(waiting.body, waiting.encoding)
                if len(unpacked) > LARGE_UNPACKED_BYTES and not waiting.is_large:
                    waiting.is_large = True  # known only now: what a gzip body says of its own size can be a lie
                    self._large.append(waiting)
                    continue
                taken.append(AcceptedPayload(self._read(unpacked), waiting.encoding, waiting.body))
                read.append(waiting)
            except IntakeError as error:
                waiting.error, waiting.done = error, True
            except Exception as error:
                self._give_up([waiting], error)
        self._store_all(taken, read)

    def _next_group(self) -> Iterator[_Waiting]:
        """Yield small ones, or a large one: in turns, as far as there are any of both."""
        is_large_turn = bool(self._large) and (self._had_small or not self._small)
        self._had_small = not is_large_turn
        return _take_out(self._large, 1) if is_large_turn else _take_out(self._small, MOST_TOGETHER)

    def _read(self, unpacked: bytes) -> Report:
        report = read_report(unpacked, "")
        self._counters.negatives += report.negatives
        if report.unread:
            self._counters.unread.update(report.unread)
            warn_each_minute("unread", "a payload of %r is taken in part: %s", report.service, report.first_unread)
        return report

    def _store_all(self, taken: list[AcceptedPayload], read: list[_Waiting]) -> None:
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


def _take_out(queue: deque[_Waiting], most: int) -> Iterator[_Waiting]:
    """Yield what waits, until it takes too long to go on."""
    until = monotonic() + READ_SECONDS
    for _ in range(most):
        try:
            yield queue.popleft()
        except IndexError:  # the event loop removes those whose sender has left
            return
        if monotonic() >= until:
            return
