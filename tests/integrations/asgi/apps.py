"""An app that records what it gets, and what a server does with an app: requests and a lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.edge import Edge
from tests import by_hand

OUT = Edge("direction:out", "topic:orders", "type:kafka")
CAME = Pathway(77, 1_700_000_000_000_000_000, 1_700_000_000_500_000_000)
CONTEXT = CAME.encode_base64()

Messages = list[dict[str, Any]]


class Handler:
    """An app that reads a body and produces once. It records what it received, and the pathways that were current."""

    def __init__(self, *, produces: bool = True) -> None:
        self.produces = produces
        self.got: Messages = []
        self.pathways: list[Pathway | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http", "not a word of any lifespan"
        self.pathways.append(asyncdsm.current_pathway())
        while True:
            self.got.append(await receive())
            if not self.got[-1].get("more_body"):
                break
        if self.produces:
            by_hand.produce(OUT)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


async def request(app: Any, headers: dict[str, str] | None = None, *bodies: bytes, ends: bool = True) -> Messages:
    """Send one request, its body in these parts; return what was answered."""
    parts = bodies or (b"",)
    incoming: Messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends:
        incoming[-1]["more_body"] = False
    incoming.append({"type": "http.disconnect"})
    answered: Messages = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        answered.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw}
    await app(scope, receive, send)
    return answered


class Server:
    """The server's side of the lifespan protocol."""

    def __init__(self) -> None:
        self._asks, self._asked = anyio.create_memory_object_stream[dict[str, Any]](2)
        self._tells, self._told = anyio.create_memory_object_stream[dict[str, Any]](2)

    async def send(self, message: dict[str, Any]) -> None:
        await self._tells.send(message)

    async def ask(self, what: str) -> str:
        await self._asks.send({"type": f"lifespan.{what}"})
        with anyio.fail_after(5):
            return str((await self._told.receive())["type"])


@asynccontextmanager
async def run_lifespan_of(app: Any) -> AsyncIterator[Server]:
    """Start an app as a server does, and shut it down after the block."""
    server = Server()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, {"type": "lifespan", "state": {}}, server._asked.receive, server.send)
            assert await server.ask("startup") == "lifespan.startup.complete"
            yield server
            assert await server.ask("shutdown") == "lifespan.shutdown.complete"
    finally:
        for stream in (server._asks, server._asked, server._tells, server._told):
            stream.close()
