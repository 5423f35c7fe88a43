"""Server-sent events: that something was taken, at most once a second."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.agent.store.store import Store

EVERY_SECONDS, HEARTBEAT_SECONDS = 1.0, 15.0
MOST_STREAMS = 50


class Live:
    """The streams that are open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.closing: anyio.Event = anyio.Event()
        self.streams: int = 0

    async def open(self, _: Request) -> Response:
        """Open a stream. Raises ApiError (503) if there are too many."""
        if self.streams >= MOST_STREAMS:
            raise ApiError(503, "streams", f"there may be at most {MOST_STREAMS}, and all are open")
        self.streams += 1  # here, and not once it starts: many may be opened at the same time
        return _Stream(self._events(), self._note_end)

    def close(self) -> None:
        """End all streams."""
        self.closing.set()

    def _note_end(self) -> None:
        self.streams -= 1

    async def _events(self) -> AsyncIterator[str]:
        yield ": asyncdsm\n\n"
        seen, said = self._store.payloads, anyio.current_time()
        while not self.closing.is_set():
            with anyio.move_on_after(EVERY_SECONDS):
                await self.closing.wait()
            taken, now = self._store.payloads, anyio.current_time()
            if taken != seen:
                seen, said = taken, now
                data = json.dumps({"payloads": taken, "now": self._store.now()})
                yield f"event: change\ndata: {data}\n\n"
            elif now - said >= HEARTBEAT_SECONDS:
                said = now
                yield ": still here\n\n"


class _Stream(StreamingResponse):
    """A stream that says when it ends, even where its client left before it began."""

    def __init__(self, events: AsyncIterator[str], note_end: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._note_end = note_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._note_end()
