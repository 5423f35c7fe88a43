"""Forwards payloads, unchanged, to a Datadog Agent or to another asyncdsm agent.

It uses the outbox, the retries and the counters of the core. With a store that has a file, what waits is in that file
too (`store_spool`), and is forwarded after a restart.
"""

from __future__ import annotations

import secrets
import socket
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from time import monotonic
from urllib.parse import urlsplit

import anyio
import httpx2

from asyncdsm._internal.log import info, pluralize, warn_each_minute
from asyncdsm.agent.store.spool import RawHeaders, Spooled
from asyncdsm.agent.store.store import Store
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.delivery.exporters.agent import AgentExporter
from asyncdsm.delivery.outbox import Outbox, Parcel
from asyncdsm.delivery.retry import Delivery, warn_of_dropped_checkpoints
from asyncdsm.errors import DeliveryError, PayloadRefusedError, TemporaryDeliveryError
from asyncdsm.settings import Settings

_HOP_BY_HOP = {
    b"accept",
    b"accept-encoding",
    b"authorization",
    b"connection",
    b"content-length",
    b"cookie",
    b"expect",
    b"host",
    b"keep-alive",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"via",
}
# Headers between a client and this agent only, its token among them (RFC 9110 §7.6.1).
MAX_EXPECTED, EXPECTED_SECONDS = 10_000, 600.0
# How many bodies are remembered, and for how long, that were forwarded and whose senders were told to try again.
_WHY_DROPPED = {
    "outbox": "too much waits to be forwarded, and the oldest is dropped",
    "rejected": "payloads are refused where they are forwarded to",
    "too large": "payloads are too large to be forwarded",
}
SECONDS_AT_END = 1.0
# How long the agent still delivers while it ends, where the rest is kept in the store's file.


class Forwarder:
    """Delivers in the order in which payloads came; counts payloads: recorded = delivered + pending + dropped."""

    def __init__(self, settings: Settings, store: Store) -> None:
        """`settings.agent_url` is where to, with a password where that one asks for its token.

        What waits is kept in the file of `store`, where it has one. Raises StoreError when that cannot be used.
        """
        self._settings, self._store = settings, store
        self._counters = Counters()
        self._outbox = Outbox(settings.max_outbox_bytes, self._counters)
        self._delivery = Delivery(self._outbox, self._counters, settings.request_seconds, hedges=False)
        self._wake, self._changed = anyio.Event(), anyio.Event()
        self._scope: anyio.CancelScope | None = None
        self._stopping = False
        self._expected = OrderedDict[bytes, float]()
        self._noted: Mapping[str, int] = {}
        self._refusal = ""
        self.mark: str = f"1.1 asyncdsm-{secrets.token_hex(8)}"
        """How this agent signs what it forwards, so that it knows it when it comes back."""
        self._spool = store.open_spool(settings.max_outbox_bytes)
        for waiting in self._spool.waiting() if self._spool else ():
            self._counters.record(1)
            self._outbox.enqueue(Parcel(waiting, 1))

    def enqueue_payload(self, body: bytes, headers: RawHeaders) -> None:
        """Take one payload, whatever it is. One that its sender was told to send again is not forwarded again."""
        if self._is_expected(body):
            return
        parcel = Spooled.of(body, _forwarded_headers(headers, self.mark))
        if self._spool is not None:
            self._spool.add(parcel)
        self._counters.record(1)
        warn_of_dropped_checkpoints(self._outbox.enqueue(Parcel(parcel, 1)))
        self._note_drops()
        self._wake.set()

    def expect_resend(self, body: bytes) -> None:
        """Note that a payload was forwarded, and that its sender was told to send it again, since it is not stored."""
        self._expected[_digest(body)] = monotonic() + EXPECTED_SECONDS
        if len(self._expected) > MAX_EXPECTED:
            self._expected.popitem(last=False)

    def count_too_large(self) -> None:
        """Count a payload that is too large to be held, and so is not forwarded."""
        self._counters.record(1)
        self._counters.drop("too large", 1)
        self._note_drops()

    def request_save(self) -> None:
        """Have what waits written to the store's file, where no payload that is stored takes it along."""
        self._changed.set()

    def has_forwarded(self, via: Iterable[str]) -> bool:
        """Whether this agent forwarded a payload before; `via` are the values of its Via headers."""
        return any(self.mark in value for value in via)

    def stats(self) -> Stats:
        """Return the counters, in payloads."""
        return self._counters.snapshot()

    def stop(self) -> None:
        """Deliver what waits, for at most `shutdown_seconds` (a second where the rest is kept in a file), and end."""
        self._stopping = True
        self._wake.set()
        if self._scope is not None:
            self._scope.deadline = anyio.current_time() + self._seconds_at_end()

    async def run(self) -> None:
        """Deliver until stopped. What cannot be delivered by then is kept in the file, else counted as dropped."""
        exporter = await anyio.to_thread.run_sync(_Exporter, self._settings, self._note_outcome)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._keep_saving)
                with anyio.CancelScope() as self._scope:
                    while not self._stopping:
                        await self._delivery.deliver_waiting(exporter)
                        self._note_drops()
                        await self._rest()
                    self._scope.deadline = min(self._scope.deadline, anyio.current_time() + self._seconds_at_end())
                    await self._delivery.drain(exporter)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self._end()
                with anyio.move_on_after(1):
                    await exporter.aclose()

    def _is_expected(self, body: bytes) -> bool:
        return bool(self._expected) and self._expected.pop(_digest(body), 0.0) > monotonic()

    def _seconds_at_end(self) -> float:
        seconds = self._settings.shutdown_seconds
        return seconds if self._spool is None else min(seconds, SECONDS_AT_END)

    def _note_drops(self) -> None:
        """Note what was dropped since the last time, for `/api/health`."""
        dropped = self._counters.snapshot().dropped_by
        for cause, count in dropped.items():
            if (more := count - self._noted.get(cause, 0)) > 0:
                self._store.conditions.note("forward_dropped", _WHY_DROPPED.get(cause, cause) + self._refusal, more)
        self._noted = dropped

    def _note_outcome(self, parcel: Spooled, error: DeliveryError | None) -> None:
        """Note what became of a parcel that was sent: delivered, refused, or to be sent again."""
        if error is not None and not isinstance(error, PayloadRefusedError):
            self._store.conditions.note("forward", f"payloads wait: {error}")
            return
        self._store.conditions.clear("forward")
        self._refusal = f"; the last refusal: {error}" if error is not None else self._refusal
        if self._spool is not None:
            self._spool.finish(parcel.number)
            self._changed.set()

    async def _keep_saving(self) -> None:
        """Take out of the file what was delivered, soon after, so that a kill has little of it delivered twice."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self._save()

    async def _save(self) -> bool:
        if self._spool is None:
            return False
        try:
            await anyio.to_thread.run_sync(self._store.save_spool)
        except sqlite3.Error as error:
            warn_each_minute("spool", "what waits to be forwarded cannot be written to the store's file: %s", error)
            return False
        return True

    async def _end(self) -> None:
        saved = await self._save()
        if saved and self._outbox:
            info(
                "%s left in the store's file, to forward after the next start", pluralize(len(self._outbox), "payload")
            )
        elif lost := self._outbox.drop_all("shutdown"):
            message = "%s could not be passed on before the end and %s lost"
            warn_each_minute("forward", message, pluralize(lost, "payload"), "is" if lost == 1 else "are")

    async def _rest(self) -> None:
        """Wait for a payload; after a failure, until it is worth trying again."""
        while not self._stopping:
            wait = self._delivery.next_attempt_at - anyio.current_time() if self._outbox else float("inf")
            if wait <= 0:
                return
            with anyio.move_on_after(wait):
                await self._wake.wait()
            self._wake = anyio.Event()


def _forwarded_headers(headers: RawHeaders, mark: str) -> RawHeaders:
    """Return the headers that go on with a payload, as the bytes they came as, and a Via header with this mark."""
    listed = [value for name, value in headers if name.lower() == b"connection"]
    named = [name.strip().lower() for value in listed for name in value.split(b",")]
    via = [value for name, value in headers if name.lower() == b"via"]
    dropped = _HOP_BY_HOP.union(named) - {b"content-encoding", b"content-type"}
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    return [*kept, (b"Via", b", ".join([*via, mark.encode()]))]


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()


class _Exporter(AgentExporter):
    """Sends each payload with the headers it came with, and no others; says what became of it."""

    # ASYNCDSM_AGENT_TOKEN would set the token of the agent that forwards.
    token_hint: str = "give it in the address: --forward http://agent:TOKEN@HOST:PORT"  # noqa: S105

    def __init__(self, settings: Settings, note_outcome: Callable[[Spooled, DeliveryError | None], None]) -> None:
        super().__init__(settings)
        self._note_outcome = note_outcome
        for name in list(self._client.headers):
            del self._client.headers[name]

    async def export(self, payload: bytes) -> None:
        """Post one payload. Raises TemporaryDeliveryError, NoEndpointError or PayloadRefusedError."""
        assert isinstance(payload, Spooled)  # noqa: S101  (what the forwarder puts into the outbox)
        outcome: DeliveryError | None = TemporaryDeliveryError(f"no answer within {self._request_seconds:g} s")
        try:
            await super().export(payload)
            outcome = None
        except TemporaryDeliveryError as error:
            outcome = error
            if isinstance(error.__cause__, httpx2.LocalProtocolError):
                # Its headers cannot be sent: tried again and again, it would keep back all that come after it.
                outcome = PayloadRefusedError(str(error))
                raise outcome from error
            raise
        except DeliveryError as error:
            outcome = error
            raise
        finally:
            self._note_outcome(payload, outcome)

    def payload_headers(self, payload: bytes) -> RawHeaders | None:
        """Return the headers that a payload came with."""
        return payload.headers if isinstance(payload, Spooled) else None


def is_own_address(url: str, port: int) -> bool:
    """Whether a URL leads to a port of this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "unix" or (parts.port or {"http": 80, "https": 443}[parts.scheme]) != port:
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    return any(_is_of_this_machine(family, address) for family, _, _, _, address in found)


def _is_of_this_machine(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((address[0], 0, *address[2:]))
        except OSError:
            return False
    return True
