"""Passing payloads on, unchanged, to a real Datadog Agent or another of ours: the outbox and accounts of the core."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import anyio

from asyncdsm.delivery import Delivery, say_dropped
from asyncdsm.exporters.agent import AgentExporter
from asyncdsm.log import warn_each_minute
from asyncdsm.outbox import Outbox, Parcel
from asyncdsm.settings import Settings
from asyncdsm.stats import Accounts, Stats

_OURS = {
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
}
"""Headers between a client and this agent only, its token among them (RFC 9110 §7.6.1)."""


class Body(bytes):
    """A payload as it came, and the headers it came with."""

    headers: Sequence[tuple[str, str]] = ()

    @classmethod
    def of(cls, body: bytes, headers: Sequence[tuple[str, str]]) -> Body:
        """Return the body with those of the headers that go on with it."""
        made = cls(body)
        made.headers = [(name, value) for name, value in headers if name.lower() not in _OURS]
        return made


class Forwarder:
    """Delivers in the order in which payloads came; counts payloads: recorded = delivered + pending + dropped."""

    def __init__(self, settings: Settings) -> None:
        """`settings.agent_url` is where to, with a password where that one asks for its token."""
        self._settings = settings
        self._accounts = Accounts()
        self._outbox = Outbox(settings.max_outbox_bytes, self._accounts)
        self._delivery = Delivery(self._outbox, self._accounts, settings.request_seconds)
        self._wake, self._stopping = anyio.Event(), False
        self.mark: str = f"1.1 asyncdsm-{secrets.token_hex(8)}"
        """How this agent signs what it passes on, so that it knows it when it comes back."""

    def put(self, body: bytes, headers: Sequence[tuple[str, str]]) -> None:
        """Take one payload."""
        via = [(name, value) for name, value in headers if name.lower() == "via"]
        marked = [*via, ("Via", self.mark)]
        parcel = Body.of(body, headers)
        parcel.headers = [*parcel.headers, ("Via", ", ".join(value for _, value in marked))]
        self._accounts.record(1)
        say_dropped(self._outbox.put(Parcel(parcel, 1)))
        self._wake.set()

    def has_passed(self, headers: Mapping[str, str]) -> bool:
        """Whether this agent passed a payload on before."""
        return self.mark in headers.get("via", "")

    def stats(self) -> Stats:
        """Return the accounts, in payloads."""
        return self._accounts.snapshot()

    def stop(self) -> None:
        """Deliver what waits, for at most `shutdown_seconds`, and end."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Deliver until stopped; what cannot be delivered by then is counted as dropped."""
        exporter = await anyio.to_thread.run_sync(_Exporter, self._settings)
        try:
            while not self._stopping:
                await self._delivery.run(exporter)
                await self._rest()
            with anyio.move_on_after(self._settings.shutdown_seconds):
                await self._delivery.drain(exporter)
        finally:
            if lost := self._outbox.drop_all("shutdown"):
                warn_each_minute("forward", "%d payloads could not be passed on before the end and are lost", lost)
            with anyio.move_on_after(1, shield=True):
                await exporter.aclose()

    async def _rest(self) -> None:
        """Wait for a payload; after a failure, until it is worth trying again."""
        while not self._stopping:
            wait = self._delivery.due - anyio.current_time() if self._outbox else float("inf")
            if wait <= 0:
                return
            with anyio.move_on_after(wait):
                await self._wake.wait()
            self._wake = anyio.Event()


class _Exporter(AgentExporter):
    """Sends each payload with the headers it came with, and none of ours."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        for name in list(self._client.headers):
            del self._client.headers[name]

    def headers_of(self, payload: bytes) -> list[tuple[str, str]] | None:
        return list(payload.headers) if isinstance(payload, Body) else None


def is_here(url: str, port: int) -> bool:
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
