"""httpx2 and httpx: a wrapped client's requests carry the context, to a real server that takes them for messages."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import httpx2
import pytest
import uvicorn
from asyncdsm_asgi import DataStreamsMiddleware

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.pathway import HEADER
from asyncdsm.testing import Captured

LIBRARIES = [httpx2, httpx]
CAME = Pathway(77, 1, 1)


class Server:
    """Answers with what came, and sends `/there` on to `/here`."""

    def __init__(self) -> None:
        self.url = ""
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        status, headers = (307, [(b"location", b"/here")]) if scope["path"] == "/there" else (204, [])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def served() -> AsyncIterator[Server]:
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


@pytest.mark.parametrize("library", LIBRARIES)
async def test_from_one_service_to_the_next(library: Any, captured_streams: Captured) -> None:
    async with served() as server, asyncdsm.wrap(library.AsyncClient(base_url=server.url)) as client:
        current.set_current(CAME)
        for _ in range(2):
            assert (await client.get("/")).status_code == 204
        async with client.stream("POST", "/", content=b"x", headers={HEADER: "stale", "mine": "x"}) as answer:
            assert answer.status_code == 204
    produced, consumed = captured_streams.produced(), captured_streams.consumed()
    assert [made.parent for made in produced] == [CAME.hash] * 3
    assert {made.tags for made in produced} == {("direction:out", "type:http")}
    assert [made.parent for made in consumed] == [made.hash for made in produced]
    assert server.headers[2]["mine"] == "x"


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_synchronous_client(library: Any, captured_streams: Captured) -> None:
    async with served() as server:
        with asyncdsm.wrap(library.Client(base_url=server.url)) as client:
            await anyio.to_thread.run_sync(client.get, "/")
    assert captured_streams.consumed()[0].follows(captured_streams.produced()[0])


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_request_of_the_callers_own_is_what_it_was(library: Any, captured_streams: Captured) -> None:
    async with served() as server, asyncdsm.wrap(library.AsyncClient()) as client:
        request = library.Request("GET", server.url, headers={"mine": "x"})
        before = dict(request.headers)
        for _ in range(2):
            await client.send(request)
            assert dict(request.headers) == before
        assert all(HEADER in headers for headers in server.headers)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_redirected_request_counts_once(library: Any, captured_streams: Captured) -> None:
    async with served() as server, asyncdsm.wrap(library.AsyncClient(follow_redirects=True)) as client:
        assert (await client.get(f"{server.url}/there")).status_code == 204
    assert len(captured_streams.produced()) == 1


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_request_without_an_answer_does_not_count(library: Any, captured_streams: Captured) -> None:
    async with asyncdsm.wrap(library.AsyncClient()) as client:
        with pytest.raises(library.ConnectError):
            await client.get("http://127.0.0.1:1/")
    assert captured_streams.checkpoints == []


@pytest.mark.parametrize("library", LIBRARIES)
async def test_off_unless_wrapped(library: Any, captured_streams: Captured) -> None:
    asyncdsm.instrument(library.__name__)
    async with served() as server, library.AsyncClient() as client:
        await client.get(server.url)
        assert HEADER not in server.headers[0]
    assert captured_streams.checkpoints == []


@pytest.mark.parametrize("library", LIBRARIES)
async def test_while_nothing_runs_no_request_is_touched(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_DATA_STREAMS_ENABLED", "false")
    async with served() as server, asyncdsm.wrap(asyncdsm.wrap(library.AsyncClient())) as client:
        await client.get(server.url)
        assert HEADER not in server.headers[0]
