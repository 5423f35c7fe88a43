"""HTTP connections within limits: how many there are, how long a client may take, and how much it may send.

uvicorn has a time limit only for idle connections. A client that sends half a request, or does not read its answer,
would keep its connection open for ever, and a thousand of them would shut out all others.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any, cast

from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_CONNECTIONS = 512
BACKLOG = 128
"""How many connections wait in the kernel. asyncio accepts up to this number before anything else runs."""
HEAD_SECONDS = 10.0
"""From the first byte of a request, or from the connection's beginning, to the end of the headers."""
BODY_SECONDS = 30.0
"""From the end of the headers to the end of the body."""
WRITE_SECONDS = 30.0
"""How long a client may leave its answer unread while more of it waits to be sent."""
KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: tracers send every 10 s, and some of what they send every 60 s."""
MAX_HEAD_BYTES = 64 * 1024
_CHUNK_OVERHEAD = 8
"""How many bytes of framing are allowed per byte of the body: a chunk of one byte has five."""
_TURNS_TO_CLOSE = 8
# How many turns the event loop needs, at most, to notice that a connection is closed: it resumes reading, polls the
# socket, reads its end, calls the protocol, and wakes who waits for a message. After a pause of the process, a request
# and the end of its connection arrive together.
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def max_connections() -> int:
    """Return how many connections are allowed: half of the files that this process may open, at most 512."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if files == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, files // 2))


async def has_hung_up(request: Request) -> bool:
    """Tell whether the client has closed its connection by now. The request's body must have been read."""
    message = asyncio.ensure_future(request.receive())  # which also resumes reading, if a large body had paused it
    try:
        for _ in range(_TURNS_TO_CLOSE):
            await asyncio.sleep(0)
            if message.done():
                return bool(message.result()["type"] == "http.disconnect")
        return False
    finally:
        message.cancel()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits. If there are too many connections, the one that waits longest is closed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.waiting_since: float = self.loop.time()
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_head, self._overhead, self._body_bytes = False, 0, 0

    @property
    def waits_for_client(self) -> int:
        """What the client has to send: 0 the first request, 1 the rest of a body, 2 the next request, 3 nothing."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return 0
        if cycle.response_complete:
            return 2
        return 1 if cycle.more_body else 3

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, and close another one if there are too many."""
        super().connection_made(transport)
        self._start_head_timer()
        if len(self.connections) > max_connections():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._stop_head_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data from the client, within the limits."""
        if self.waits_for_client in {0, 2}:
            self._start_head_timer()
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > MAX_HEAD_BYTES + _CHUNK_OVERHEAD * self._body_bytes:
            self._refuse_overhead()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._in_head, self._overhead, self._body_bytes = True, 0, 0
        self.waiting_since = self.loop.time()  # the connection may have been idle for long
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which follow the body, are ignored."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start answering."""
        self._in_head = False
        self._stop_head_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count and keep a part of the body."""
        self._overhead -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the body of a request, which may have been answered already."""
        self._stop_head_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.waiting_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start the time within which the client must read on."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop that time: the client reads."""
        self._stop_write_timer()
        super().resume_writing()

    def _make_room(self) -> None:
        others = cast("set[BoundedProtocol]", self.connections) - {self}
        # Only time counts: if idle connections were preferred to new ones, enough of them would shut out all others.
        longest = min(others, key=lambda other: (other.waits_for_client == 3, other.waiting_since), default=self)
        victim = self if longest.waits_for_client == 3 else longest
        self.connections.discard(victim)  # it must not be chosen again before the loop has closed it
        victim.transport.abort()

    def _refuse_overhead(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE if self._in_head else b"")
            self.transport.close()

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
