"""Scopes, headers and messages of every form reach the app as they do without the middleware."""

from __future__ import annotations

from collections import UserDict, defaultdict, deque
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

import pytest
from asyncdsm_asgi import DataStreamsMiddleware

from asyncdsm.core.context import HEADER
from asyncdsm.streams import running_streams
from asyncdsm.testing import Captured
from tests.integrations.asgi.apps import CAME, CONTEXT

NAME, VALUE = HEADER.encode(), CONTEXT.encode()


PUSHED = (NAME, VALUE)


PLAIN = (b"x-mine", b"1")


@pytest.fixture(params=["true", "false"])
def enabled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("DD_DATA_STREAMS_ENABLED", request.param)
    yield request.param
    if streams := running_streams():
        streams.close()


class Once:
    """Headers that may be iterated once."""

    def __init__(self, *headers: Any) -> None:
        self.headers = headers
        self.is_read = False

    def __iter__(self) -> Iterator[Any]:
        assert not self.is_read, "these headers were read already"
        self.is_read = True
        return iter(self.headers)


class Dict(dict[str, Any]):
    """A scope of a framework's own."""


class WithoutNewKeys(dict[str, Any]):
    """A scope that takes no keys."""

    def __setitem__(self, name: str, value: Any) -> None:
        raise RuntimeError(f"{name} is not mine")


class Missing(dict[str, Any]):
    """A scope with a value for every key."""

    def __missing__(self, name: str) -> Any:
        return self.setdefault(name, "made up")


def broken(*headers: Any) -> Iterator[Any]:
    yield from headers
    raise LookupError("these headers break off")


def http(headers: Any, kind: Callable[[dict[str, Any]], Any] = dict) -> Any:
    return kind({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})


SCOPES: dict[str, Callable[[], Any]] = {
    "no headers": lambda: {"type": "http", "method": "GET", "path": "/"},
    "headers None": lambda: http(None),
    "headers a number": lambda: http(5),
    "headers a string": lambda: http("abc"),
    "headers a dict": lambda: http({NAME: VALUE}),
    "headers a tuple": lambda: http((PLAIN, PUSHED)),
    "headers lists": lambda: http([[NAME, VALUE]]),
    "headers a deque": lambda: http(deque([PUSHED])),
    "headers dict items": lambda: http({NAME: VALUE}.items()),
    "headers a generator": lambda: http(pair for pair in (PLAIN, PUSHED)),
    "headers an iterator": lambda: http(iter([PLAIN, PUSHED])),
    "headers to be read once": lambda: http(Once(PLAIN, PUSHED)),
    "headers a generator that breaks off": lambda: http(broken(PUSHED, PLAIN)),
    "a bytearray for a name": lambda: http([(bytearray(b"x-a"), b"1"), PLAIN]),
    "bytearrays": lambda: http([(bytearray(NAME), bytearray(VALUE))]),
    "memoryviews": lambda: http([(memoryview(NAME), memoryview(VALUE))]),
    "a memoryview for a telling value": lambda: http([(b"user-agent", memoryview(b"APIs-Google"))]),
    "strings": lambda: http([(HEADER, CONTEXT)]),
    "a string beyond latin-1": lambda: http([("x-name", "日本"), (HEADER, CONTEXT)]),
    "a string for a value": lambda: http([(NAME, CONTEXT)]),
    "a value None": lambda: http([(b"user-agent", None), PUSHED]),
    "a name None": lambda: http([(None, b"x"), PUSHED]),
    "a length None": lambda: http([(b"content-length", None), PUSHED]),
    "numbers": lambda: http([(1, 2)]),
    "three parts": lambda: http([(NAME, VALUE, b"more"), PLAIN]),
    "one part": lambda: http([(NAME,)]),
    "None among them": lambda: http([None, PUSHED]),
    "names as they are written": lambda: http([(b"User-Agent", b"x")]),
    "a context that cannot be read": lambda: http([(NAME, b"\xff\x00")]),
    "a dict of another class": lambda: http([PUSHED], Dict),
    "a dict without new keys": lambda: http([PUSHED], WithoutNewKeys),
    "a dict without new keys, with a generator": lambda: http((pair for pair in [PUSHED]), WithoutNewKeys),
    "a dict with every key": lambda: http([PUSHED], Missing),
    "an empty dict with every key": Missing,
    "a defaultdict": lambda: defaultdict(list, {"type": "http"}),
    "a read-only mapping": lambda: http([PUSHED], MappingProxyType),
    "a mapping": lambda: http([PUSHED], UserDict),
    "no scope": lambda: None,
    "a scope that is a list": lambda: ["type"],
    "an empty scope": dict,
    "a type None": lambda: {"type": None},
    "a type that is not hashable": lambda: {"type": ["http"]},
    "an unknown type": lambda: {"type": "quantum", "headers": 5},
    "a websocket": lambda: {"type": "websocket", "headers": [PUSHED]},
    "a websocket without headers": lambda: {"type": "websocket"},
    "a lifespan with headers": lambda: {"type": "lifespan", "headers": 5},
}


COUNTED = {
    *("headers a tuple", "headers lists", "headers a deque", "headers dict items", "headers a generator"),
    *("headers an iterator", "headers to be read once", "headers a generator that breaks off"),
    *("bytearrays", "memoryviews", "a string for a value", "a value None", "a name None"),
    *("a length None", "None among them", "a dict of another class", "a dict without new keys"),
    *("a dict with every key", "a read-only mapping", "a mapping"),
}


READ_FOR_THE_APP = {"headers a generator", "headers to be read once"}


def to_comparable(value: Any) -> Any:
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


async def observe_scope(wrap: Callable[[Any], Any], make_scope: Callable[[], Any]) -> list[Any]:
    """Return all that an app sees of its scope, and what its caller sees afterwards."""
    seen = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(type(scope))
        seen.append(sorted(name for name in scope if name != "asyncdsm"))
        seen.append(type(scope.get("headers")) if "headers" in scope else "no headers")
        for header in scope["headers"]:
            seen.append(tuple(to_comparable(part) for part in header) if isinstance(header, (tuple, list)) else header)
        seen.append(await receive())

    async def receive() -> Any:
        return {"type": "nothing"}

    scope = make_scope()
    try:
        await wrap(app)(scope, receive, None)
    except Exception as error:
        seen.append(repr(error))
        seen.append(error.__context__)
    seen.append(sorted(scope) if scope is not None else None)
    return seen


@pytest.mark.parametrize("case", SCOPES)
async def test_odd_scope_reaches_the_app_as_without_middleware(case: str, enabled: str) -> None:
    bare = await observe_scope(lambda app: app, SCOPES[case])
    followed = await observe_scope(DataStreamsMiddleware, SCOPES[case])
    if case in READ_FOR_THE_APP and enabled == "true":
        bare[2] = followed[2] = "what can be iterated"  # a generator is an iterator now, other things are a list
    assert followed == bare


@pytest.mark.parametrize("case", SCOPES)
async def test_context_is_found_in_odd_headers(case: str, captured_streams: Captured) -> None:
    await observe_scope(DataStreamsMiddleware, SCOPES[case])
    parents = [made.parent for made in captured_streams.consumed()]
    assert parents == ([CAME.hash] if case in COUNTED else [0] * len(parents))


async def test_two_requests_with_the_same_scope_both_count(captured_streams: Captured) -> None:
    scope = http([PUSHED])
    for _ in range(2):
        await observe_scope(DataStreamsMiddleware, lambda: scope)
    assert len(captured_streams.consumed()) == 2


PART = {"type": "http.request", "body": b"{}", "more_body": True}


MESSAGES: dict[str, list[Any]] = {
    "no body": [{"type": "http.request"}],
    "a body None": [{"type": "http.request", "body": None}],
    "a body that is a string": [{"type": "http.request", "body": "{}"}],
    "a body that is a bytearray": [PART, {"type": "http.request", "body": bytearray(b"{}")}],
    "a number": [PART, 5],
    "None": [None],
    "no type": [PART, {"body": b"x"}],
    "an error": [PART, OSError("the client is gone")],
    "an error at once": [OSError("the client is gone")],
    "an error, then more": [OSError("once"), {"type": "http.request", "body": b"{}"}],
    "a disconnect": [{"type": "http.disconnect"}],
    "another type": [{"type": "http.quantum"}],
}


async def observe_messages(wrap: Callable[[Any], Any], messages: list[Any]) -> list[Any]:
    heard, incoming = list[Any](), [*messages, {"type": "http.disconnect"}]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append("called")
        for _ in range(len(messages) + 1):
            try:
                heard.append(await receive())
            except OSError as error:
                heard.append(repr(error))

    async def receive() -> Any:
        message = incoming.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    headers = [(b"x-amz-sns-message-type", b"Notification")]
    await wrap(app)({"type": "http", "headers": headers}, receive, None)
    return heard


@pytest.mark.parametrize("case", MESSAGES)
async def test_odd_body_messages_reach_the_app_as_without_middleware(case: str, captured_streams: Captured) -> None:
    bare = await observe_messages(lambda app: app, MESSAGES[case])
    assert await observe_messages(DataStreamsMiddleware, MESSAGES[case]) == bare
    assert len(captured_streams.consumed()) == 1
