"""Forwards payloads unchanged to a Datadog Agent or to another asyncdsm agent.

It uses the outbox, the retries and the counters of the library. If the store has a file, payloads that wait are in that
file too (see `store.spool`) and are forwarded after a restart.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from time import monotonic

import anyio

from asyncdsm._internal.log import info, pluralize, warn_each_minute
from asyncdsm.agent.intake.forward_exporter import ForwardExporter, select_headers
from asyncdsm.agent.store.protocol import UNAVAILABLE, Store
from asyncdsm.agent.store.spool import RawHeaders, SpooledPayload
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.delivery.outbox import Outbox, Parcel, warn_of_full_outbox
from asyncdsm.delivery.retry import Delivery
from asyncdsm.errors import DeliveryError, PayloadRefusedError
from asyncdsm.settings import Settings

MAX_EXPECTED, EXPECTED_SECONDS = 10_000, 600.0
"""How many forwarded bodies whose senders were told to send them again are remembered, and for how long."""
_DROP_REASONS = {
    "outbox": "too many payloads wait to be forwarded: the oldest are dropped",
    "rejected": "the agent that payloads are forwarded to refuses them",
    "too large": "payloads are too large to be forwarded",
}
SHUTDOWN_SECONDS = 1.0
"""How long the agent still forwards payloads while it ends, if the rest is kept in the store's file."""


class Forwarder:
    """Forwards payloads in the order in which they came, and counts them: recorded = delivered + pending + dropped."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """Forward to `settings.agent_url`, which has a password if that agent asks for its token.

        Payloads that wait are kept in the file of `store`, if it has one. Raises StoreError if that cannot be used.
        """
        self._settings, self._store = settings, store
        self._counters = Counters()
        self._outbox = Outbox(settings.max_outbox_bytes, self._counters, unit="payload")
        self._delivery = Delivery(self._outbox, self._counters, settings.request_seconds, hedges=False)
        self._wake, self._changed = anyio.Event(), anyio.Event()
        self._scope: anyio.CancelScope | None = None
        self._stopping = False
        self._expected = OrderedDict[bytes, float]()
        self._reported_drops: Mapping[str, int] = {}
        self._refusal = ""
        self.mark: str = f"1.1 asyncdsm-{secrets.token_hex(8)}"
        """What this agent adds to the Via header of each payload, so that it recognizes a payload that comes back."""
        self._spool = store.open_spool(settings.max_outbox_bytes)
        for waiting in self._spool.waiting() if self._spool else ():
            self._counters.record(1)
            self._outbox.enqueue(Parcel(waiting, 1))

    def enqueue_payload(self, body: bytes, headers: RawHeaders) -> None:
        """Enqueue a payload, unless it was forwarded before and its sender was told to send it again."""
        if self._pop_expected(body):
            return
        parcel = SpooledPayload.create(body, select_headers(headers, self.mark))
        if self._spool is not None:
            self._spool.add(parcel)
        self._counters.record(1)
        warn_of_full_outbox(self._outbox, self._outbox.enqueue(Parcel(parcel, 1)))
        self._report_drops()
        self._wake.set()

    def expect_resend(self, body: bytes) -> None:
        """Record that a payload was enqueued but not stored, so that its sender was told to send it again."""
        self._expected[_hash_body(body)] = monotonic() + EXPECTED_SECONDS
        if len(self._expected) > MAX_EXPECTED:
            self._expected.popitem(last=False)

    def count_too_large(self) -> None:
        """Count a payload that is not forwarded because it is too large."""
        self._counters.record(1)
        self._counters.drop("too large", 1)
        self._report_drops()

    def request_save(self) -> None:
        """Write the payloads that wait to the store's file soon. The store does it with each payload, too."""
        self._changed.set()

    def has_forwarded(self, via: Iterable[str]) -> bool:
        """Return whether this agent forwarded a payload before, given the values of its Via headers."""
        return any(self.mark in value for value in via)

    def stats(self) -> Stats:
        """Return how many payloads were recorded and delivered, are pending, and were dropped."""
        return self._counters.to_stats()

    def stop(self) -> None:
        """End after forwarding for at most `shutdown_seconds`, or one second if a file keeps the rest."""
        self._stopping = True
        self._wake.set()
        if self._scope is not None:
            self._scope.deadline = anyio.current_time() + self._shutdown_seconds()

    async def run(self) -> None:
        """Forward payloads until `stop`. Those that are left are kept in the file, or else counted as dropped."""
        exporter = await anyio.to_thread.run_sync(ForwardExporter, self._settings, self._note_outcome)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_saving)
                with anyio.CancelScope() as self._scope:
                    while not self._stopping:
                        await self._delivery.deliver_waiting(exporter)
                        self._report_drops()
                        await self._wait_for_work()
                    self._scope.deadline = min(self._scope.deadline, anyio.current_time() + self._shutdown_seconds())
                    await self._delivery.drain(exporter)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._end()
                with anyio.move_on_after(1):
                    await exporter.aclose()

    def _pop_expected(self, body: bytes) -> bool:
        return bool(self._expected) and self._expected.pop(_hash_body(body), 0.0) > monotonic()

    def _shutdown_seconds(self) -> float:
        seconds = self._settings.shutdown_seconds
        return seconds if self._spool is None else min(seconds, SHUTDOWN_SECONDS)

    def _report_drops(self) -> None:
        """Report to `/api/health` what was dropped since the last call."""
        dropped = self._counters.to_stats().dropped_by
        for cause, count in dropped.items():
            if (more := count - self._reported_drops.get(cause, 0)) > 0:
                self._store.conditions.note("forward_dropped", _DROP_REASONS.get(cause, cause) + self._refusal, more)
        self._reported_drops = dropped

    def _note_outcome(self, parcel: SpooledPayload, error: DeliveryError | None) -> None:
        """Record whether a payload that was sent was delivered, refused, or has to be sent again."""
        if error is not None and not isinstance(error, PayloadRefusedError):
            self._store.conditions.note("forward", f"payloads wait to be forwarded: {error}")
            return
        self._store.conditions.clear("forward")
        self._refusal = f"; the last refusal: {error}" if error is not None else self._refusal
        if self._spool is not None:
            self._spool.finish(parcel.number)
            self._changed.set()

    async def _keep_saving(self) -> None:
        """Delete delivered payloads from the file soon, so that after a kill few of them are forwarded again."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self._save()

    async def _save(self) -> bool:
        if self._spool is None:
            return False
        try:
            await anyio.to_thread.run_sync(self._store.save_spool)
        except UNAVAILABLE as error:
            warn_each_minute(
                "spool", "asyncdsm agent cannot write to its store which payloads it has to forward: %s", error
            )
            return False
        return True

    async def _end(self) -> None:
        saved = await self._save()
        if saved and self._outbox:
            info(
                "asyncdsm agent will forward %s after its next start, from its store",
                pluralize(len(self._outbox), "payload"),
            )
        elif lost := self._outbox.drop_all("shutdown"):
            message = "asyncdsm agent lost %s, not forwarded before it ended"
            warn_each_minute("forward", message, pluralize(lost, "payload"))

    async def _wait_for_work(self) -> None:
        """Wait for a payload, or after a failure until the next attempt."""
        while not self._stopping:
            wait = self._delivery.next_attempt_at - anyio.current_time() if self._outbox else float("inf")
            if wait <= 0:
                return
            with anyio.move_on_after(wait):
                await self._wake.wait()
            self._wake = anyio.Event()


def _hash_body(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
