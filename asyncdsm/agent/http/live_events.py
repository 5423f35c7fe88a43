"""Server-sent events that tell the page that new payloads were stored, at most one per second."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.agent.store.protocol import Store

EVERY_SECONDS, HEARTBEAT_SECONDS = 1.0, 15.0
MOST_STREAMS = 50


class LiveEvents:
    """The open streams of events, `streams` in number. `closing` is set when all of them must end."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.closing: anyio.Event = anyio.Event()
        self.streams: int = 0
        self._told = -1
        self._change = b""

    async def open_stream(self, _: Request) -> Response:
        """Answer with a stream of events. Raises ApiError (503) if there are too many."""
        if self.streams >= MOST_STREAMS:
            raise ApiError(
                503,
                "streams",
                f"at most {MOST_STREAMS} streams may be open, and that many are: try again later",
            )
        self.streams += 1  # here, and not when it starts: many may be opened at the same time
        return _Stream(self._events(), self._note_end)

    def close(self) -> None:
        """End all streams."""
        self.closing.set()

    def _note_end(self) -> None:
        self.streams -= 1

    async def _events(self) -> AsyncIterator[bytes]:
        yield b": asyncdsm\n\n"
        seen, sent_at = self._store.payloads, anyio.current_time()
        while not self.closing.is_set():
            with anyio.move_on_after(EVERY_SECONDS):
                await self.closing.wait()
            payloads, now = self._store.payloads, anyio.current_time()
            if payloads != seen:
                seen, sent_at = payloads, now
                yield self._describe_change(payloads)
            elif now - sent_at >= HEARTBEAT_SECONDS:
                sent_at = now
                yield b": still here\n\n"

    def _describe_change(self, payloads: int) -> bytes:
        """Return the event that tells of a number of payloads: all streams send the same bytes."""
        if payloads != self._told:
            data = json.dumps({"payloads": payloads, "now": self._store.now()})
            self._told, self._change = payloads, f"event: change\ndata: {data}\n\n".encode()
        return self._change


class _Stream(StreamingResponse):
    """A stream that reports its end, even if its client disconnected before it began."""

    def __init__(self, events: AsyncIterator[bytes], note_end: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._note_end = note_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._note_end()
