"""A wrapped client puts the context on its requests, and counts those that are answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.httpx.clients import (
    FakeService,
    both_kinds,
    call,
    each_library,
    make_client,
    on_asyncio,
    run_server,
)

CAME = Pathway(77, 1, 1)

pytestmark = each_library


@on_asyncio
async def test_pathway_continues_in_the_next_service(library: Any, captured_streams: Captured) -> None:
    async with run_server() as server, asyncdsm.wrap(library.AsyncClient(base_url=server.url)) as client:
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


@on_asyncio
async def test_pathway_continues_from_a_synchronous_client(library: Any, captured_streams: Captured) -> None:
    async with run_server() as server:
        with asyncdsm.wrap(library.Client(base_url=server.url)) as client:
            await anyio.to_thread.run_sync(client.get, "/")
    assert captured_streams.consumed()[0].follows(captured_streams.produced()[0])


@on_asyncio
async def test_redirected_request_is_counted_once(library: Any, captured_streams: Captured) -> None:
    async with run_server() as server, asyncdsm.wrap(library.AsyncClient(follow_redirects=True)) as client:
        assert (await client.get(f"{server.url}/there")).status_code == 204
    assert len(captured_streams.produced()) == 1


async def test_request_without_an_answer_is_not_counted(library: Any, captured_streams: Captured) -> None:
    async with asyncdsm.wrap(library.AsyncClient()) as client:
        with pytest.raises(library.ConnectError):
            await client.get("http://127.0.0.1:1/")
    assert captured_streams.checkpoints == []


@both_kinds
@pytest.mark.parametrize(
    ("place", "carries"),
    [
        ("/there", True),
        ("http://svc/there", True),
        ("https://svc/there", True),
        ("http://other.example/", False),
        ("http://svc:8080/", False),
        ("https://svc:8443/", False),
        ("https://other.example/", False),
    ],
)
async def test_redirect_carries_the_context_only_within_its_origin(
    library: Any, is_async: bool, place: str, carries: bool, captured_streams: Captured
) -> None:
    service = FakeService(library)
    client = asyncdsm.wrap(make_client(library, is_async, service, follow_redirects=True))
    answer = await call(client, "get", "http://svc/", headers={"x-go-to": place})
    assert service.contexts == [True, carries]
    assert [HEADER in one.request.headers for one in (answer, *answer.history)] == [False, False]
    assert len(captured_streams.produced()) == 1


@both_kinds
async def test_login_elsewhere_gets_no_context(library: Any, is_async: bool, captured_streams: Captured) -> None:
    class Login(library.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            yield library.Request("POST", "http://login.example/token")
            assert HEADER not in request.headers
            request.headers["authorization"] = "secret"
            yield request

    service = FakeService(library)
    client = asyncdsm.wrap(make_client(library, is_async, service, auth=Login()))
    await call(client, "get", "http://svc/")
    assert service.contexts == [False, True]
    assert len(captured_streams.produced()) == 1
