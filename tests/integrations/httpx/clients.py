"""Clients of httpx2 and httpx, and services for their requests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
import uvicorn
from asyncdsm_asgi import DataStreamsMiddleware

from asyncdsm.core.context import HEADER

NOWHERE = "http://127.0.0.1:9/"

each_library = pytest.mark.parametrize("library", [httpx2, httpx])
both_kinds = pytest.mark.parametrize("is_async", [True, False])
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""Uvicorn needs it."""


class Server:
    """An app that keeps the headers of its requests and redirects `/there` to `/here`."""

    def __init__(self) -> None:
        self.url = ""
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        status, headers = (307, [(b"location", b"/here")]) if scope["path"] == "/there" else (204, [])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def run_server() -> AsyncIterator[Server]:
    """Run uvicorn with the app inside `DataStreamsMiddleware`."""
    app = Server()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(DataStreamsMiddleware(app), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        app.url = "http://{}:{}".format(*listener.getsockname())
        try:
            yield app
        finally:
            server.should_exit = True
            await serving


class FakeService:
    """The handler of a mock transport: it keeps the requests and answers them."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.requests: list[Any] = []
        self.before_answer: Callable[[Any], None] = lambda request: None

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        self.before_answer(request)
        place = request.headers.get("x-go-to")
        if place and len(self.requests) == 1:
            return self.library.Response(307, headers={"location": place})
        return self.library.Response(200, text="answered")

    @property
    def contexts(self) -> list[bool]:
        return [HEADER in request.headers for request in self.requests]


async def call(client: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of a synchronous or an asynchronous client."""
    answer = getattr(client, method)(*args, **kwargs)
    return await answer if hasattr(answer, "__await__") else answer


def make_client(library: Any, is_async: bool, handler: Any = None, **options: Any) -> Any:
    """Return a client of one of the libraries, whose requests go to `handler` if there is one."""
    transport = None if handler is None else library.MockTransport(handler)
    return (library.AsyncClient if is_async else library.Client)(transport=transport, **options)
