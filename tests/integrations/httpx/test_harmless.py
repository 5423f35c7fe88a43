"""Requests, responses and errors are for the caller what they are without asyncdsm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest.mock import Mock, patch

import anyio
import pytest

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.httpx.clients import (
    NOWHERE,
    FakeService,
    both_kinds,
    call,
    each_library,
    make_client,
    on_asyncio,
    run_server,
)

pytestmark = each_library


@on_asyncio
async def test_request_sent_twice_keeps_the_headers_of_its_caller(library: Any, captured_streams: Captured) -> None:
    async with run_server() as server, asyncdsm.wrap(library.AsyncClient()) as client:
        request = library.Request("GET", server.url, headers={"mine": "x"})
        before = dict(request.headers)
        for _ in range(2):
            await client.send(request)
            assert dict(request.headers) == before
        assert all(HEADER in headers for headers in server.headers)


@on_asyncio
async def test_request_is_left_alone_while_nothing_measures(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_DATA_STREAMS_ENABLED", "false")
    async with run_server() as server, asyncdsm.wrap(asyncdsm.wrap(library.AsyncClient())) as client:
        await client.get(server.url)
        assert HEADER not in server.headers[0]


@both_kinds
@pytest.mark.parametrize("own", [{}, {HEADER: "the caller's"}])
@pytest.mark.parametrize("outcome", ["answered", "an error", "an error of asyncdsm", "a stream"])
async def test_request_of_the_caller_is_unchanged_after_every_outcome(
    library: Any, is_async: bool, own: dict[str, str], outcome: str, captured_streams: Captured
) -> None:
    service = FakeService(library)
    client = asyncdsm.wrap(make_client(library, is_async, service))
    request = client.build_request("POST", NOWHERE, content=b"x", headers={"x-mine": "1", **own})
    before, headers = request.headers.multi_items(), request.headers
    if outcome == "an error":
        service.before_answer = Mock(side_effect=library.ReadError("reset"))
        with pytest.raises(library.ReadError) as caught:
            await call(client, "send", request)
        assert caught.value.request is request
    elif outcome == "an error of asyncdsm":
        captured_streams.strict = False
        with patch("asyncdsm_httpx.transport.HEADER", None):  # no header can have that name
            assert (await call(client, "send", request)).text == "answered"
    else:
        answer = await call(client, "send", request, stream=outcome == "a stream")
        assert answer.request is request
        assert (await answer.aread() if is_async else answer.read()) == b"answered"
    assert request.headers.multi_items() == before
    assert request.headers is headers
    (carried,) = [request.headers.get(HEADER) for request in service.requests]
    assert (carried == own.get(HEADER)) is (outcome == "an error of asyncdsm")


async def test_cancelled_request_is_unchanged_and_not_counted(library: Any, captured_streams: Captured) -> None:
    async def answer(request: Any) -> Any:
        started.set()
        await anyio.sleep_forever()

    client, started = asyncdsm.wrap(make_client(library, True, answer)), anyio.Event()
    request = client.build_request("GET", NOWHERE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.send, request)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert HEADER not in request.headers
    assert captured_streams.checkpoints == []


@both_kinds
async def test_event_hooks_of_the_client_see_no_context(
    library: Any, is_async: bool, captured_streams: Captured
) -> None:
    seen = list[bool]()

    def request_hook(request: Any) -> None:
        seen.append(HEADER in request.headers)

    def response_hook(response: Any) -> None:
        seen.append(HEADER in response.request.headers)

    async def request_hook_async(request: Any) -> None:
        request_hook(request)

    async def response_hook_async(response: Any) -> None:
        response_hook(response)

    hooks = [request_hook_async, response_hook_async] if is_async else [request_hook, response_hook]
    events = {"request": hooks[:1], "response": hooks[1:]}
    client = asyncdsm.wrap(make_client(library, is_async, FakeService(library), event_hooks=events))
    await call(client, "get", NOWHERE)
    assert seen == [False, False]


@both_kinds
async def test_changes_made_by_a_transport_are_kept(library: Any, is_async: bool, captured_streams: Captured) -> None:
    async def parts_async() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    def parts() -> Iterator[bytes]:
        yield from (b"a", b"b")

    async def seen(follow: bool) -> Any:
        service = FakeService(library)
        service.before_answer = lambda request: request.headers.update({"x-signed": "yes"})
        client = make_client(library, is_async, service)
        client = asyncdsm.wrap(client) if follow else client
        content = parts_async() if is_async else parts()
        request = client.build_request("POST", NOWHERE, content=content, headers={"x-mine": "1"})
        answer = await call(client, "send", request)
        assert answer.request is request
        return request.headers.multi_items(), request.content, answer.extensions, answer.text, sorted(vars(request))

    assert await seen(follow=True) == await seen(follow=False)


async def test_stubbed_response_is_returned_unchanged(library: Any, captured_streams: Captured) -> None:
    stub = library.Response(200, json={"a": 1})
    client = asyncdsm.wrap(make_client(library, True, lambda request: stub))
    request = client.build_request("GET", NOWHERE)
    for _ in range(2):
        assert (await client.send(request)) is stub
        assert HEADER not in stub.headers
        assert HEADER not in stub.request.headers
