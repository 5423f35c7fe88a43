"""Sends payloads to the agent that they are forwarded to, with the headers that they came with."""

from __future__ import annotations

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2

from asyncdsm.agent.store.spool import RawHeaders, SpooledPayload
from asyncdsm.delivery.exporters.agent import AgentExporter
from asyncdsm.errors import DeliveryError, PayloadRefusedError, TemporaryDeliveryError
from asyncdsm.settings import Settings

# Headers that are between a client and this agent only, such as its token (RFC 9110 §7.6.1).
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

NoteOutcome = Callable[[SpooledPayload, DeliveryError | None], None]
"""Gets each payload that was sent, and the error, or None if the payload was delivered."""


class ForwardExporter(AgentExporter):
    """Posts each payload with the headers that it came with, and no others, and reports what happened to it."""

    # ASYNCDSM_AGENT_TOKEN is no help: it is the token of the agent that forwards.
    token_hint: str = "give it in the address: --forward http://agent:TOKEN@HOST:PORT"  # noqa: S105

    def __init__(self, settings: Settings, note_outcome: NoteOutcome) -> None:
        super().__init__(settings)
        self._note_outcome = note_outcome
        for name in list(self._client.headers):
            del self._client.headers[name]

    async def export(self, payload: bytes) -> None:
        """Post one payload. Raises TemporaryDeliveryError, NoEndpointError or PayloadRefusedError."""
        assert isinstance(payload, SpooledPayload)  # noqa: S101  (the forwarder puts nothing else into the outbox)
        outcome: DeliveryError | None = TemporaryDeliveryError(f"no answer within {self._request_seconds:g} s")
        try:
            await super().export(payload)
            outcome = None
        except TemporaryDeliveryError as error:
            outcome = error
            if isinstance(error.__cause__, httpx2.LocalProtocolError):
                # Its headers cannot be sent. If it was tried again, all payloads after it would wait forever.
                outcome = PayloadRefusedError(str(error))
                raise outcome from error
            raise
        except DeliveryError as error:
            outcome = error
            raise
        finally:
            self._note_outcome(payload, outcome)

    def payload_headers(self, payload: bytes) -> RawHeaders | None:
        """Return the headers to send with a payload."""
        return payload.headers if isinstance(payload, SpooledPayload) else None


def select_headers(headers: RawHeaders, mark: str) -> RawHeaders:
    """Return the headers to forward with a payload, as the same bytes, and a Via header with `mark`."""
    listed = [value for name, value in headers if name.lower() == b"connection"]
    named = [name.strip().lower() for value in listed for name in value.split(b",")]
    via = [value for name, value in headers if name.lower() == b"via"]
    dropped = _HOP_BY_HOP.union(named) - {b"content-encoding", b"content-type"}
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    return [*kept, (b"Via", b", ".join([*via, mark.encode()]))]


def is_own_address(url: str, port: int) -> bool:
    """Return whether a URL names a port of this machine, so that the agent would forward to itself."""
    parts = urlsplit(url)
    if parts.scheme == "unix" or (parts.port or {"http": 80, "https": 443}[parts.scheme]) != port:
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    return any(_can_bind(family, address) for family, _, _, _, address in found)


def _can_bind(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> bool:
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((address[0], 0, *address[2:]))
        except OSError:
            return False
    return True
