"""The endpoint that payloads are sent to: reads a body within limits, forwards it, and hands it to the ingest queue."""

from __future__ import annotations

from anyio import fail_after
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.agent.http.connections import BODY_SECONDS, has_hung_up
from asyncdsm.agent.intake.body import MAX_BODY_BYTES, BodyMemory
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.forwarder import Forwarder
from asyncdsm.agent.intake.ingest_queue import IngestQueue, IntakeCounters
from asyncdsm.agent.intake.repeated_bodies import RecentBodies, hash_body
from asyncdsm.agent.metrics.traffic_totals import TrafficTotals
from asyncdsm.agent.store.protocol import Store

MSGPACK = "application/msgpack"
_ACKNOWLEDGED = b'{"acknowledged":true}'


class IntakeEndpoint:
    """Answers each payload with 202 once it is stored, or raises the IntakeError that says why it is refused."""

    def __init__(self, store: Store, forwarder: Forwarder | None, traffic: TrafficTotals) -> None:
        """`traffic` counts what is stored."""
        self.counters: IntakeCounters = IntakeCounters()
        self._store, self._forwarder = store, forwarder
        self._queue = IngestQueue(store, self.counters, traffic.add)
        self._recent = RecentBodies(accepted=store.accepted_bodies())
        self._memory = BodyMemory()

    async def receive_payload(self, request: Request) -> Response:
        """Store the payload of a request, and forward it. Raises IntakeError."""
        try:
            digest = await self._receive(request)
        except IntakeError as error:
            self.counters.by_status[error.status] += 1
            raise
        self.counters.by_status[202] += 1
        # The store forgets the body only when the answer has been sent: until then, a kill may keep it from the sender.
        answered = BackgroundTask(self._forget_answered, digest)
        return Response(_ACKNOWLEDGED, 202, media_type="application/json", background=answered)

    def count_denied(self, status: int) -> None:
        """Count a payload that was refused before it got here, with HTTP status 401 if its sender has not the token."""
        self.counters.by_status[status] += 1
        if status == 401:
            warn_each_minute("token", "asyncdsm agent refused a payload, because its sender has not the agent's token")

    async def _forget_answered(self, digest: bytes) -> None:
        if digest not in self._recent:
            self._store.forget_body(digest)

    async def _receive(self, request: Request) -> bytes:
        """Store the payload of a request, and return the digest of its body. Raises IntakeError."""
        if self._forwarder is not None and self._forwarder.has_forwarded(request.headers.getlist("Via")):
            raise IntakeError("Via", "this agent has forwarded it already: the agents forward in a circle", 421)
        body = await self._read_body(request)
        try:
            digest = hash_body(body, request.headers.items())
            if await self._recent.ingest_once(
                digest,
                lambda: self._forward_and_ingest(body, digest, request),
                lambda: _will_read_answer(request),
            ):
                self.counters.repeated += 1
            return digest
        finally:
            self._memory.release(body)

    async def _read_body(self, request: Request) -> bytes:
        """Return the body, which must be released from memory. Raises IntakeError."""
        try:
            _check_length(request.headers.get("Content-Length", ""))
            with fail_after(BODY_SECONDS):
                return await self._memory.read(request.stream())
        except TimeoutError:
            raise IntakeError("body", f"must arrive within {BODY_SECONDS:g} s", 408) from None
        except IntakeError as error:
            if self._forwarder is not None and error.status == 413:
                self._forwarder.count_too_large()
            raise

    async def _forward_and_ingest(self, body: bytes, digest: bytes, request: Request) -> None:
        """Forward a body, before anything is known of it, and ingest it. Raises IntakeError."""
        # Datadog decides what it accepts: this agent may know less, and its store may be in trouble.
        if self._forwarder is not None:
            self._forwarder.enqueue_payload(body, request.headers.raw)
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        try:
            if kind != MSGPACK:
                raise IntakeError("Content-Type", f"must be {MSGPACK}, got {kind[:40]!r}", 415)
            encoding = request.headers.get("Content-Encoding", "").strip().lower()
            await self._queue.ingest_payload(body, encoding, digest)
        except IntakeError as error:
            self._prepare_resend(body, error)
            raise

    def _prepare_resend(self, body: bytes, error: IntakeError) -> None:
        """Tell the forwarder, if there is one, that a payload was refused after it was forwarded."""
        if self._forwarder is None:
            return
        if error.status >= 500:
            self._forwarder.expect_resend(body)
        self._forwarder.request_save()


def _check_length(text: str) -> None:
    """Refuse a body whose announced length is too large, before any of it is read. Raises IntakeError (413)."""
    if text.isascii() and text.isdecimal() and int(text[:20]) > MAX_BODY_BYTES:
        raise IntakeError("body", f"must have at most {MAX_BODY_BYTES} bytes", 413)


async def _will_read_answer(request: Request) -> bool:
    """Tell whether the sender reads the answer, so that it will not send the same payload again.

    If it sends the same bytes after that, they are another payload. Not so asyncdsm: its payloads have ids of their
    own, so that the same bytes are always the same payload.
    """
    return not request.headers.get("User-Agent", "").startswith("asyncdsm/") and not await has_hung_up(request)
