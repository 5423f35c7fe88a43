"""Getting parcels to the exporter: again after a failure, later and later, and honestly counted."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from random import random
from typing import Protocol, runtime_checkable

import anyio

from asyncdsm._internal.log import info, pluralize, warn_each_minute, warn_once
from asyncdsm.core.counters import Counters
from asyncdsm.delivery.exporters import Exporter
from asyncdsm.delivery.outbox import Outbox
from asyncdsm.errors import DeliveryError, NoEndpointError, PayloadRefusedError, TemporaryDeliveryError

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
TRIES_AT_EXIT = 3
"""An agent that is not there is not worth the whole deadline on the way out."""
DELAY_AT_EXIT, LONGEST_DELAY_AT_EXIT = 0.1, 1.0
HEDGE_AFTER = 0.5
"""On the way out, a request without an answer gets a second one beside it after this part of the time that is left: it
may find a connection that works, and the first may still be answered."""
NOT_THERE = (ConnectionRefusedError, FileNotFoundError, socket.gaierror, ssl.SSLCertVerificationError)
"""What a few seconds do not change: nothing listens, there is no such host or socket, a certificate is not trusted."""
ENDPOINT_CHECK_SECONDS = 300.0
"""How long an Agent without the endpoint is left alone (java: 5 min, protocol §6)."""


@runtime_checkable
class _KnowsEndpoints(Protocol):
    async def lists_endpoint(self) -> bool: ...


class Delivery:
    """Delivers what is in the outbox, oldest first. `due` is when it is worth trying next (loop time, s)."""

    def __init__(
        self,
        outbox: Outbox,
        counters: Counters,
        request_seconds: float,
        *,
        hedges: bool = True,
        jitter: Callable[[], float] = random,
    ) -> None:
        """`hedges` says whether a payload may be sent twice at once on the way out: not what has no id of its own."""
        self._outbox, self._counters = outbox, counters
        self._request_seconds, self._hedges, self._jitter = request_seconds, hedges, jitter
        self._failures = 0
        self._no_endpoint = self._is_absent = False
        self._asked: float | None = None
        self.ever_delivered: bool = False
        """Whether the other side ever took a payload."""
        self.next_attempt_at: float = 0.0

    async def deliver_waiting(self, exporter: Exporter, hedge_seconds: float | None = None) -> bool:
        """Deliver all that waits; False as soon as one parcel has to wait longer.

        With `hedge_seconds`, a request that has no answer by then gets a second one beside it.
        """
        if self._no_endpoint and self._outbox:
            await self._look_again(exporter)
        while (parcel := self._outbox.dequeue()) is not None:
            delivered = False
            try:
                with anyio.fail_after(self._request_seconds):
                    if hedge_seconds is None:
                        await exporter.export(parcel.payload)
                    else:
                        await _export_hedged(exporter, parcel.payload, hedge_seconds)
                delivered = True
            except PayloadRefusedError as refusal:
                delivered = True  # for the outbox: it is done with
                self._refused(parcel.checkpoints, refusal)
                continue
            except Exception as error:
                self._postpone(error)
                return False
            finally:
                if not delivered:
                    warn_of_dropped_checkpoints(self._outbox.requeue(parcel))
            self._delivered(parcel.checkpoints)
        return True

    async def drain(self, exporter: Exporter) -> None:
        """Deliver all that waits on the way out, until the deadline of the cancel scope around it.

        It tries at once and again, without the long waits of `due`, and gives up early only where no agent has ever
        answered and none is there: nothing listens, or an Agent without the endpoint does.
        """
        tries = 0
        while not await self.deliver_waiting(exporter, _seconds_left() * HEDGE_AFTER if self._hedges else None):
            tries += 1
            if tries >= TRIES_AT_EXIT and not self.ever_delivered and (self._is_absent or self._no_endpoint):
                return
            await anyio.sleep(min(self._asked or DELAY_AT_EXIT * 2**tries, LONGEST_DELAY_AT_EXIT))

    def _delivered(self, count: int) -> None:
        self._counters.deliver(count)
        if self._failures:
            info("the agent answers again, with %s waiting", pluralize(len(self._outbox), "parcel"))
        self._failures, self.next_attempt_at, self.ever_delivered, self._no_endpoint = 0, 0.0, True, False

    def _refused(self, count: int, refusal: PayloadRefusedError) -> None:
        self._counters.drop("rejected", count)
        warn_each_minute(
            "rejected", "a payload of %s was refused and is lost: %s", pluralize(count, "checkpoint"), str(refusal)
        )

    def _postpone(self, error: Exception) -> None:
        now = anyio.current_time()
        if isinstance(error, NoEndpointError) and not self.ever_delivered:  # one that took payloads is restarting, say
            self._no_endpoint = True
            self.next_attempt_at = now + ENDPOINT_CHECK_SECONDS
            warn_once(
                "no-endpoint",
                "the Datadog Agent has no Data Streams endpoint (HTTP status 404): it needs Agent 7.34 or newer. "
                "What is measured is kept as far as it fits, and the Agent looked at again every 5 minutes",
            )
            return
        self._failures += 1
        self._is_absent = _is_absent(error)
        self._asked = error.retry_after if isinstance(error, TemporaryDeliveryError) else None
        self.next_attempt_at = now + (self.backoff_seconds() if self._asked is None else self._asked)
        known = isinstance(error, (DeliveryError, TimeoutError))
        problem = str(error) if known and str(error) else f"{type(error).__name__}: {error}"
        warn_each_minute("undelivered", "not delivered, will be tried again: %s", problem)

    def backoff_seconds(self) -> float:
        """Return how long to wait after this many failures: exponential, with jitter, at most 30 s."""
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures - 1, 16))
        return longest * (0.5 + self._jitter() / 2)

    async def _look_again(self, exporter: Exporter) -> None:
        """Say what `/info` says. It only explains: an Agent may take payloads and not list the endpoint."""
        if isinstance(exporter, _KnowsEndpoints) and await exporter.lists_endpoint():
            self._no_endpoint = False
            info("the Datadog Agent lists the Data Streams endpoint now")


async def _export_hedged(exporter: Exporter, payload: bytes, hedge_seconds: float) -> None:
    """Deliver a payload by a request, and by a second one beside it if the first has no answer after some seconds.

    Returns with the first that is taken. Raises what the last of them raised, without waiting to begin the second.
    """
    errors, under_way = list[Exception](), 0

    async def attempt(delay: float) -> None:
        nonlocal under_way
        await anyio.sleep(delay)
        under_way += 1
        try:
            await exporter.export(payload)
            errors.clear()
        except Exception as error:
            errors.append(error)
            under_way -= 1
            if under_way:
                return  # the other may still be taken
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempt, 0)
        tasks.start_soon(attempt, hedge_seconds)
    if errors:
        raise errors[-1]


def _seconds_left() -> float:
    return max(0.0, anyio.current_effective_deadline() - anyio.current_time())


def _is_absent(error: BaseException | None) -> bool:
    """Say whether an error, or each of those that it comes from, says that nothing is there to deliver to."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_absent, error.exceptions))
    if error is None or isinstance(error, NOT_THERE):
        return error is not None
    return _is_absent(error.__cause__ or error.__context__)


def warn_of_dropped_checkpoints(count: int) -> None:
    """Warn that the outbox overflowed, once a minute."""
    if count:
        warn_each_minute("outbox", "the outbox is full: lost the oldest %s", pluralize(count, "checkpoint"))
