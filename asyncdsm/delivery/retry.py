"""Delivers parcels to the exporter, tries again after a failure with exponential backoff, and counts what is lost."""

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
from asyncdsm.delivery.outbox import Outbox, warn_of_full_outbox
from asyncdsm.errors import DeliveryError, NoEndpointError, PayloadRefusedError, TemporaryDeliveryError

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
ATTEMPTS_AT_EXIT = 3
"""How often an absent agent is tried at exit. It is not worth the whole deadline."""
DELAY_AT_EXIT, LONGEST_DELAY_AT_EXIT = 0.1, 1.0
HEDGE_AFTER = 0.5
"""At exit, a second request starts after this fraction of the time that is left, if the first has no answer by then.

The second may get a connection that works, and the first may still be answered.
"""
ABSENCE_ERRORS = (ConnectionRefusedError, FileNotFoundError, socket.gaierror, ssl.SSLCertVerificationError)
"""Errors that a few seconds do not mend: nothing listens, no such host or socket, a certificate is not trusted."""
ENDPOINT_CHECK_SECONDS = 300.0
"""How often an Agent without the endpoint is asked again (5 minutes, as dd-trace-java does: protocol §6)."""


@runtime_checkable
class _EndpointLister(Protocol):
    async def lists_endpoint(self) -> bool: ...


class Delivery:
    """Delivers the parcels of an outbox, oldest first."""

    def __init__(
        self,
        outbox: Outbox,
        counters: Counters,
        request_seconds: float,
        *,
        hedges: bool = True,
        receiver: str = "the agent",
        jitter: Callable[[], float] = random,
    ) -> None:
        """Deliver from this outbox; each request may take `request_seconds`.

        `hedges` allows a second request for the same payload at exit. Payloads need an id for that, by which the
        receiver drops the second one. `receiver` is what log messages call it. `jitter` returns a random number from 0
        to 1.
        """
        self._outbox, self._counters = outbox, counters
        self._request_seconds, self._hedges, self._jitter = request_seconds, hedges, jitter
        self._receiver = receiver
        self._failures = 0
        self._no_endpoint = self._is_absent = False
        self._retry_after: float | None = None
        self.ever_delivered: bool = False
        """Whether the receiver ever accepted a payload."""
        self.next_attempt_at: float = 0.0
        """When to call `deliver_waiting` next, in seconds on the event loop's clock."""

    async def deliver_waiting(self, exporter: Exporter, hedge_seconds: float | None = None) -> bool:
        """Deliver all waiting parcels. Returns False as soon as one fails and has to be tried again later.

        A second request for the same parcel starts if the first has no answer after `hedge_seconds`.
        """
        if self._no_endpoint and self._outbox:
            await self._check_endpoint(exporter)
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
                delivered = True  # it does not go back to the outbox
                self._count_refused(parcel.checkpoints, refusal)
                continue
            except Exception as error:
                self._postpone(error)
                return False
            finally:
                if not delivered:
                    warn_of_full_outbox(self._outbox, self._outbox.requeue(parcel))
            self._count_delivered(parcel.checkpoints)
        return True

    async def drain(self, exporter: Exporter) -> None:
        """Deliver all waiting parcels at exit, until the deadline of the cancel scope around it.

        It retries after short delays, or when the receiver asked for it. If that is after the deadline, it tries once
        more, in the middle of the time that is left. It gives up early if that fails, or if no agent ever accepted a
        payload and none is there: nothing listens, or an Agent without the endpoint does.
        """
        attempts, is_last = 0, False
        while not await self.deliver_waiting(exporter, _seconds_left() * HEDGE_AFTER if self._hedges else None):
            attempts += 1
            if attempts >= ATTEMPTS_AT_EXIT and not self.ever_delivered and (self._is_absent or self._no_endpoint):
                return
            wait = self._retry_after or min(DELAY_AT_EXIT * 2**attempts, LONGEST_DELAY_AT_EXIT)
            if wait >= (left := _seconds_left()):
                if is_last:
                    return
                is_last, wait = True, left / 2
            await anyio.sleep(wait)

    def _count_delivered(self, count: int) -> None:
        self._counters.deliver(count)
        if self._failures:
            waiting = pluralize(len(self._outbox), "payload")
            info("asyncdsm reaches %s again, with %s still to deliver", self._receiver, waiting)
        self._failures, self.next_attempt_at, self.ever_delivered, self._no_endpoint = 0, 0.0, True, False

    def _count_refused(self, count: int, refusal: PayloadRefusedError) -> None:
        key, counted = f"rejected by {self._receiver}", pluralize(count, self._outbox.unit)
        if self._outbox.pass_on_refused(count):
            repeated = "asyncdsm will send %s again in its next payload, because %s refused one: %s"
            warn_each_minute(key, repeated, counted, self._receiver, str(refusal))
            return
        self._counters.drop("rejected", count)
        message = "asyncdsm lost %s, because %s refused a payload: %s"
        warn_each_minute(key, message, counted, self._receiver, str(refusal))

    def _postpone(self, error: Exception) -> None:
        now = anyio.current_time()
        if isinstance(error, NoEndpointError) and not self.ever_delivered:  # otherwise it may be restarting
            self._no_endpoint = True
            self.next_attempt_at = now + ENDPOINT_CHECK_SECONDS
            warn_once(
                "no-endpoint",
                "asyncdsm found no Data Streams endpoint at the agent (HTTP status 404): a Datadog Agent has it since "
                "version 7.34. asyncdsm keeps as much as fits into its outbox, and tries again every 5 minutes",
            )
            return
        self._failures += 1
        self._is_absent = _is_absent(error)
        self._retry_after = error.retry_after if isinstance(error, TemporaryDeliveryError) else None
        self.next_attempt_at = now + (self.backoff_seconds() if self._retry_after is None else self._retry_after)
        known = isinstance(error, (DeliveryError, TimeoutError))
        problem = str(error) if known and str(error) else f"{type(error).__name__}: {error}"
        warn_each_minute(
            f"undelivered to {self._receiver}",
            "asyncdsm could not deliver a payload and will try again: %s",
            problem if self._receiver == "the agent" else f"{self._receiver}: {problem}",
        )

    def backoff_seconds(self) -> float:
        """Return the seconds to wait after the failures so far: exponential, with jitter, at most 30 s."""
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures - 1, 16))
        return longest * (0.5 + self._jitter() / 2)

    async def _check_endpoint(self, exporter: Exporter) -> None:
        """Log if the Agent lists the endpoint. Delivery goes on either way: it may accept payloads and not list it."""
        if isinstance(exporter, _EndpointLister) and await exporter.lists_endpoint():
            self._no_endpoint = False
            info("asyncdsm found the Data Streams endpoint at the agent now")


async def _export_hedged(exporter: Exporter, payload: bytes, hedge_seconds: float) -> None:
    """Deliver a payload with one request, and with a second one if the first has no answer after some seconds.

    Returns when the first of them succeeds. If both fail, or the first fails before the second starts, raises the
    error of the last one.
    """
    errors, running = list[Exception](), 0

    async def attempt(delay: float) -> None:
        nonlocal running
        await anyio.sleep(delay)
        running += 1
        try:
            await exporter.export(payload)
            errors.clear()
        except Exception as error:
            errors.append(error)
            running -= 1
            if running:
                return  # the other one may still succeed
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempt, 0)
        tasks.start_soon(attempt, hedge_seconds)
    if errors:
        raise errors[-1]


def _seconds_left() -> float:
    return max(0.0, anyio.current_effective_deadline() - anyio.current_time())


def _is_absent(error: BaseException | None) -> bool:
    """Return whether an error, or each of its causes, means that no receiver is there."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_absent, error.exceptions))
    if error is None or isinstance(error, ABSENCE_ERRORS):
        return error is not None
    return _is_absent(error.__cause__ or error.__context__)
