"""What `wrap` puts on a client works with patches, subclasses and mocks of it."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, patch

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
async def test_client_that_is_not_wrapped_sends_no_context(library: Any, captured_streams: Captured) -> None:
    asyncdsm.instrument(library.__name__)
    async with run_server() as server, library.AsyncClient() as client:
        await client.get(server.url)
        assert HEADER not in server.headers[0]
    assert captured_streams.checkpoints == []


@both_kinds
async def test_patched_class_is_called_and_no_request_is_sent(
    library: Any, is_async: bool, captured_streams: Captured
) -> None:
    service = FakeService(library)
    client = asyncdsm.wrap(make_client(library, is_async, service))
    mock = (AsyncMock if is_async else Mock)(return_value=library.Response(207))
    with patch.object(type(client), "send", mock):
        assert (await call(client, "get", NOWHERE)).status_code == 207
    assert service.requests == []
    assert mock.call_count == 1
    assert (await call(client, "get", NOWHERE)).status_code == 200
    assert service.contexts == [True]


@both_kinds
async def test_patched_object_is_called_and_the_patch_can_be_removed(
    library: Any, is_async: bool, captured_streams: Captured
) -> None:
    service = FakeService(library)
    client = asyncdsm.wrap(make_client(library, is_async, service))
    with patch.object(client, "send", (AsyncMock if is_async else Mock)(return_value=library.Response(207))):
        assert (await call(client, "get", NOWHERE)).status_code == 207
    await call(client, "get", NOWHERE)
    assert service.contexts == [True]


@both_kinds
async def test_patched_transport_class_gets_the_context(
    library: Any, is_async: bool, captured_streams: Captured
) -> None:
    """As libraries do that answer in tests for the network."""
    client = asyncdsm.wrap(make_client(library, is_async))
    service = FakeService(library)

    async def answer_async(self: Any, request: Any) -> Any:
        return service(request)

    def answer(self: Any, request: Any) -> Any:
        return service(request)

    if is_async:
        patching = patch.object(library.AsyncHTTPTransport, "handle_async_request", answer_async)
    else:
        patching = patch.object(library.HTTPTransport, "handle_request", answer)
    with patching:
        assert (await call(client, "get", NOWHERE)).text == "answered"
    assert service.contexts == [True]


@both_kinds
async def test_tracing_that_begins_after_wrap_works(library: Any, is_async: bool, captured_streams: Captured) -> None:
    """As Sentry's, which puts its own `send` on the class."""
    service = FakeService(library)
    client = asyncdsm.wrap(make_client(library, is_async, service))
    original = type(client).send

    def traced(self: Any, request: Any, **kwargs: Any) -> Any:
        request.headers["sentry-trace"] = "1"
        return original(self, request, **kwargs)

    async def traced_async(self: Any, request: Any, **kwargs: Any) -> Any:
        request.headers["sentry-trace"] = "1"
        return await original(self, request, **kwargs)

    with patch.object(type(client), "send", traced_async if is_async else traced):
        await call(client, "get", NOWHERE)
    await call(client, "get", NOWHERE)
    assert service.contexts == [True, True]
    assert ["sentry-trace" in request.headers for request in service.requests] == [True, False]
    assert len(captured_streams.produced()) == 2


async def test_subclass_that_sends_twice_is_counted_once(library: Any, captured_streams: Captured) -> None:
    class Client(library.AsyncClient):  # type: ignore[misc]
        async def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            await super().send(request, *args, **kwargs)
            return await super().send(request, *args, **kwargs)

    service = FakeService(library)
    client = asyncdsm.wrap(Client(transport=library.MockTransport(service)))
    assert (await client.get(NOWHERE)).status_code == 200
    assert service.contexts == [True, True]
    assert len(captured_streams.produced()) == 1


@both_kinds
async def test_mock_of_a_client_is_returned(library: Any, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    mock = MagicMock(spec=library.AsyncClient if is_async else library.Client)
    assert asyncdsm.wrap(mock) is mock
    await call(mock, "get", NOWHERE)
    assert caplog.records == []


@both_kinds
async def test_unknown_argument_of_a_later_release_reaches_the_client(
    library: Any, is_async: bool, captured_streams: Captured
) -> None:
    got = list[Any]()

    class Client(library.AsyncClient if is_async else library.Client):  # type: ignore[misc]
        def send(self, request: Any, *args: Any, later: int, **kwargs: Any) -> Any:
            got.append(("send", later))
            return super().send(request, *args, **kwargs)

        def _transport_for_url(self, url: Any, *args: Any, later: int = 0) -> Any:
            got.append(("transport", args, later))
            return super()._transport_for_url(url)

    service = FakeService(library)
    client = asyncdsm.wrap(Client(transport=library.MockTransport(service)))
    await call(client, "send", client.build_request("GET", NOWHERE), later=1)
    client._transport_for_url(library.URL(NOWHERE), "second", later=2)
    assert got == [("send", 1), ("transport", (), 0), ("transport", ("second",), 2)]
    assert service.contexts == [True]
