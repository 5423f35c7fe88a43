"""Stores payloads in groups: one transaction for all payloads that came while the previous group was written."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic

from anyio import CapacityLimiter, Lock, to_thread

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.agent.intake.body import decompress_body
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.protocol import UNAVAILABLE, Store
from asyncdsm.agent.store.reports import AcceptedPayload, Report
from asyncdsm.errors import StoreFullError

READ_SECONDS = 0.25
"""How long a group is read before it is stored: its senders wait until all of it is stored."""
LARGE_BYTES, LARGE_UNPACKED_BYTES = 256 * 1024, 1024 * 1024
"""A body that is larger, packed or unpacked, can take a second or two to read: smaller ones go first."""


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


class _WaitingPayload:
    """A payload whose sender waits for an answer."""

    def __init__(self, body: bytes, encoding: str, digest: bytes) -> None:
        self.body, self.encoding, self.digest = body, encoding, digest
        self.is_large = len(body) > LARGE_BYTES
        self.done = False
        self.error: IntakeError | None = None


class IngestQueue:
    """Reads and stores payloads in a worker thread, one group after the other. For one event loop."""

    def __init__(
        self,
        store: Store,
        counters: IntakeCounters | None = None,
        observe: Callable[[Report], object] = lambda _: None,
    ) -> None:
        """`counters` gets what is left out of payloads; `observe` is called with each one that was stored."""
        self._store, self._observe = store, observe
        self._counters = counters if counters is not None else IntakeCounters()
        self._small, self._large = deque[_WaitingPayload](), deque[_WaitingPayload]()
        self._had_small = False
        self._turn, self._limiter = Lock(), CapacityLimiter(1)

    async def ingest_payload(self, body: bytes, encoding: str, digest: bytes = b"") -> None:
        """Return when the payload is stored. Raises IntakeError if it is refused, or if it cannot be stored.

        By its `digest`, the store recognizes the body after a restart.
        """
        waiting = _WaitingPayload(body, encoding, digest)
        (self._large if waiting.is_large else self._small).append(waiting)
        try:
            while not waiting.done:
                async with self._turn:  # its owner stores everything that waits
                    if not waiting.done:
                        await to_thread.run_sync(self._store_group, limiter=self._limiter)
        finally:
            if not waiting.done:  # its sender has closed the connection
                for queue in (self._small, self._large):
                    with suppress(ValueError, IndexError):  # the worker thread has it already
                        queue.remove(waiting)
        if waiting.error is not None:
            raise waiting.error

    def _store_group(self) -> None:
        # The worker thread removes them from the queue: if the event loop did, and was cancelled, they would be lost.
        accepted, read = list[AcceptedPayload](), list[_WaitingPayload]()
        for waiting in self._next_group():
            try:
                unpacked = decompress_body(waiting.body, waiting.encoding)
                if len(unpacked) > LARGE_UNPACKED_BYTES and not waiting.is_large:
                    waiting.is_large = True  # known only now: the size in a gzip body can be wrong
                    self._large.append(waiting)
                    continue
                accepted.append(AcceptedPayload(self._read(unpacked), waiting.encoding, waiting.body, waiting.digest))
                read.append(waiting)
            except IntakeError as error:
                waiting.error, waiting.done = error, True
            except Exception as error:
                self._refuse([waiting], error)
        self._store_accepted(accepted, read)

    def _next_group(self) -> Iterator[_WaitingPayload]:
        """Yield small payloads or one large payload, in turns if there are both."""
        is_large_turn = bool(self._large) and (self._had_small or not self._small)
        self._had_small = not is_large_turn
        return _pop_payloads(self._large, 1) if is_large_turn else _pop_payloads(self._small, self._store.group_size)

    def _read(self, unpacked: bytes) -> Report:
        report = read_report(unpacked, "")
        self._counters.negatives += report.negatives
        if report.unread:
            self._counters.unread.update(report.unread)
            message = "asyncdsm agent accepted only a part of a payload of service %r: %s"
            warn_each_minute("unread", message, report.service, report.first_unread)
        return report

    def _store_accepted(self, accepted: list[AcceptedPayload], read: list[_WaitingPayload]) -> None:
        try:
            if accepted:
                self._store.add_all(accepted)
        except Exception as error:
            self._refuse(read, error)
            return
        for waiting in read:
            waiting.done = True
        for payload in accepted:
            self._note_left_out(payload.report)
            self._observe_stored(payload.report)

    def _note_left_out(self, report: Report) -> None:
        if report.left_out:
            problem = f"messages of service {report.service!r} are left out: the agent cannot read their points"
            count = max(1, round(report.left_out))
            self._store.conditions.note("unread", f"{problem}: {report.first_unread}", count)

    def _observe_stored(self, report: Report) -> None:
        try:
            self._observe(report)
        except Exception as error:  # the payload is stored: its sender must not send it again
            message = "asyncdsm agent could not count a payload of service %r in its metrics: %r"
            warn_each_minute("metrics", message, report.service, error, error=error)

    def _refuse(self, payloads: list[_WaitingPayload], error: Exception) -> None:
        full = isinstance(error, StoreFullError)
        known = full or isinstance(error, UNAVAILABLE)
        message = "asyncdsm agent cannot store payloads, and asked their senders to send them again: %r"
        warn_each_minute("store", message, error)
        problem = str(error) if known else f"the agent failed: {type(error).__name__}"
        for waiting in payloads:
            waiting.error, waiting.done = IntakeError("store", problem, 507 if full else 503 if known else 500), True


def _pop_payloads(queue: deque[_WaitingPayload], most: int) -> Iterator[_WaitingPayload]:
    """Remove and yield payloads of a queue, at most `most` of them, for at most `READ_SECONDS`."""
    until = monotonic() + READ_SECONDS
    for _ in range(most):
        try:
            yield queue.popleft()
        except IndexError:  # the event loop removes payloads whose sender has closed the connection
            return
        if monotonic() >= until:
            return
