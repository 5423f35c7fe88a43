"""httpx2 and httpx: patches of their classes work, and what a caller holds is as without us."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, patch

import anyio
import httpx
import httpx2
import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.pathway import HEADER
from asyncdsm.testing import Captured

NOWHERE = "http://127.0.0.1:9/"

pytestmark = pytest.mark.parametrize("library", [httpx2, httpx])
both_kinds = pytest.mark.parametrize("is_async", [True, False])


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


class Service:
    """A transport's handler: it remembers the requests, and answers them."""

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


async def sent(client: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a client's method, whether it is a coroutine function or not."""
    answer = getattr(client, method)(*args, **kwargs)
    return await answer if hasattr(answer, "__await__") else answer


def client_of(library: Any, is_async: bool, handler: Any = None, **options: Any) -> Any:
    transport = None if handler is None else library.MockTransport(handler)
    return (library.AsyncClient if is_async else library.Client)(transport=transport, **options)


@both_kinds
async def test_a_patch_of_the_class_is_called_and_no_request_leaves(
    library: Any, is_async: bool, captured_streams: Captured
) -> None:
    service = Service(library)
    client = asyncdsm.wrap(client_of(library, is_async, service))
    mock = (AsyncMock if is_async else Mock)(return_value=library.Response(207))
    with patch.object(type(client), "send", mock):
        assert (await sent(client, "get", NOWHERE)).status_code == 207
    assert service.requests == []
    assert mock.call_count == 1
    assert (await sent(client, "get", NOWHERE)).status_code == 200
    assert service.contexts == [True]


@both_kinds
async def test_a_patch_of_the_object_is_called_and_taken_away_again(
    library: Any, is_async: bool, captured_streams: Captured
) -> None:
    service = Service(library)
    client = asyncdsm.wrap(client_of(library, is_async, service))
    with patch.object(client, "send", (AsyncMock if is_async else Mock)(return_value=library.Response(207))):
        assert (await sent(client, "get", NOWHERE)).status_code == 207
    await sent(client, "get", NOWHERE)
    assert service.contexts == [True]


@both_kinds
async def test_a_patch_of_the_transports_class_gets_the_context(
    library: Any, is_async: bool, captured_streams: Captured
) -> None:
    """As libraries do that answer in tests for the network."""
    client = asyncdsm.wrap(client_of(library, is_async))
    service = Service(library)

    async def answer_async(self: Any, request: Any) -> Any:
        return service(request)

    def answer(self: Any, request: Any) -> Any:
        return service(request)

    if is_async:
        patching = patch.object(library.AsyncHTTPTransport, "handle_async_request", answer_async)
    else:
        patching = patch.object(library.HTTPTransport, "handle_request", answer)
    with patching:
        assert (await sent(client, "get", NOWHERE)).text == "answered"
    assert service.contexts == [True]


@both_kinds
async def test_tracing_that_begins_after_wrap_goes_on(library: Any, is_async: bool, captured_streams: Captured) -> None:
    """As Sentry's, which puts its own `send` on the class."""
    service = Service(library)
    client = asyncdsm.wrap(client_of(library, is_async, service))
    original = type(client).send

    def traced(self: Any, request: Any, **kwargs: Any) -> Any:
        request.headers["sentry-trace"] = "1"
        return original(self, request, **kwargs)

    async def traced_async(self: Any, request: Any, **kwargs: Any) -> Any:
        request.headers["sentry-trace"] = "1"
        return await original(self, request, **kwargs)

    with patch.object(type(client), "send", traced_async if is_async else traced):
        await sent(client, "get", NOWHERE)
    await sent(client, "get", NOWHERE)
    assert service.contexts == [True, True]
    assert ["sentry-trace" in request.headers for request in service.requests] == [True, False]
    assert len(captured_streams.produced()) == 2


async def test_a_subclass_sends_as_it_likes(library: Any, captured_streams: Captured) -> None:
    class Client(library.AsyncClient):  # type: ignore[misc]
        async def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            await super().send(request, *args, **kwargs)
            return await super().send(request, *args, **kwargs)

    service = Service(library)
    client = asyncdsm.wrap(Client(transport=library.MockTransport(service)))
    assert (await client.get(NOWHERE)).status_code == 200
    assert service.contexts == [True, True]
    assert len(captured_streams.produced()) == 1


# What a caller holds.


async def test_one_request_sent_many_times_at_once_is_as_before(library: Any, captured_streams: Captured) -> None:
    seen = list[Any]()

    async def answer(request: Any) -> Any:
        seen.append(request)
        await anyio.sleep(0.01 * len(seen))
        return library.Response(200)

    client = asyncdsm.wrap(client_of(library, True, answer))
    request = client.build_request("GET", NOWHERE)
    before = request.headers.multi_items()

    async def send(number: int) -> None:
        current.set_current(Pathway(number, 1, 1))
        assert (await client.send(request)).request is request

    async with anyio.create_task_group() as tasks:
        for number in range(1, 6):
            tasks.start_soon(send, number)
    assert request.headers.multi_items() == before
    by_hash = {made.hash: made.parent for made in captured_streams.produced()}
    pathways = [Pathway.decode_base64(one.headers[HEADER]) for one in seen]
    assert sorted(by_hash[pathway.hash] for pathway in pathways if pathway) == [1, 2, 3, 4, 5]


@both_kinds
@pytest.mark.parametrize("own", [{}, {HEADER: "the caller's"}])
@pytest.mark.parametrize("outcome", ["answered", "an error", "an error of ours", "a stream"])
async def test_a_callers_request_is_as_before_in_every_outcome(
    library: Any, is_async: bool, own: dict[str, str], outcome: str, captured_streams: Captured
) -> None:
    service = Service(library)
    client = asyncdsm.wrap(client_of(library, is_async, service))
    request = client.build_request("POST", NOWHERE, content=b"x", headers={"x-mine": "1", **own})
    before, headers = request.headers.multi_items(), request.headers
    if outcome == "an error":
        service.before_answer = Mock(side_effect=library.ReadError("reset"))
        with pytest.raises(library.ReadError) as caught:
            await sent(client, "send", request)
        assert caught.value.request is request
    elif outcome == "an error of ours":
        captured_streams.strict = False
        with patch("asyncdsm_httpx.transport._copy_with", side_effect=ZeroDivisionError):
            assert (await sent(client, "send", request)).text == "answered"
    else:
        answer = await sent(client, "send", request, stream=outcome == "a stream")
        assert answer.request is request
        assert (await answer.aread() if is_async else answer.read()) == b"answered"
    assert request.headers.multi_items() == before
    assert request.headers is headers
    (carried,) = [request.headers.get(HEADER) for request in service.requests]
    assert (carried == own.get(HEADER)) is (outcome == "an error of ours")


async def test_a_cancelled_request_is_as_before(library: Any, captured_streams: Captured) -> None:
    async def answer(request: Any) -> Any:
        started.set()
        await anyio.sleep_forever()

    client, started = asyncdsm.wrap(client_of(library, True, answer)), anyio.Event()
    request = client.build_request("GET", NOWHERE)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.send, request)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert HEADER not in request.headers
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
async def test_a_redirect_takes_the_context_along_within_its_origin_only(
    library: Any, is_async: bool, place: str, carries: bool, captured_streams: Captured
) -> None:
    service = Service(library)
    client = asyncdsm.wrap(client_of(library, is_async, service, follow_redirects=True))
    answer = await sent(client, "get", "http://svc/", headers={"x-go-to": place})
    assert service.contexts == [True, carries]
    assert [HEADER in one.request.headers for one in (answer, *answer.history)] == [False, False]
    assert len(captured_streams.produced()) == 1


@both_kinds
async def test_a_login_elsewhere_gets_no_context(library: Any, is_async: bool, captured_streams: Captured) -> None:
    class Login(library.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Iterator[Any]:
            yield library.Request("POST", "http://login.example/token")
            assert HEADER not in request.headers
            request.headers["authorization"] = "secret"
            yield request

    service = Service(library)
    client = asyncdsm.wrap(client_of(library, is_async, service, auth=Login()))
    await sent(client, "get", "http://svc/")
    assert service.contexts == [False, True]
    assert len(captured_streams.produced()) == 1


@both_kinds
async def test_hooks_of_the_client_see_the_callers_request(
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
    client = asyncdsm.wrap(client_of(library, is_async, Service(library), event_hooks=events))
    await sent(client, "get", NOWHERE)
    assert seen == [False, False]


@both_kinds
async def test_what_a_transport_changes_stays_changed(library: Any, is_async: bool, captured_streams: Captured) -> None:
    async def parts_async() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    def parts() -> Iterator[bytes]:
        yield from (b"a", b"b")

    async def seen(follow: bool) -> Any:
        service = Service(library)
        service.before_answer = lambda request: request.headers.update({"x-signed": "yes"})
        client = client_of(library, is_async, service)
        client = asyncdsm.wrap(client) if follow else client
        content = parts_async() if is_async else parts()
        request = client.build_request("POST", NOWHERE, content=content, headers={"x-mine": "1"})
        answer = await sent(client, "send", request)
        assert answer.request is request
        return request.headers.multi_items(), request.content, answer.extensions, answer.text, sorted(vars(request))

    assert await seen(follow=True) == await seen(follow=False)


async def test_a_stubbed_answer_is_as_before(library: Any, captured_streams: Captured) -> None:
    stub = library.Response(200, json={"a": 1})
    client = asyncdsm.wrap(client_of(library, True, lambda request: stub))
    request = client.build_request("GET", NOWHERE)
    for _ in range(2):
        assert (await client.send(request)) is stub
        assert HEADER not in stub.headers
        assert HEADER not in stub.request.headers


@both_kinds
async def test_a_mock_passes_in_silence(library: Any, is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    mock = MagicMock(spec=library.AsyncClient if is_async else library.Client)
    assert asyncdsm.wrap(mock) is mock
    await sent(mock, "get", NOWHERE)
    assert caplog.records == []
