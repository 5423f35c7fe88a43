"""A plain request through an ASGI app, called as a server calls it, with the headers of a browser: CPU of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BLOCKS = 9

HEADERS = [
    (b"host", b"shop.example.com"),
    (b"connection", b"keep-alive"),
    (b"content-length", b"17"),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    ),
    (b"content-type", b"application/json"),
    (b"accept", b"*/*"),
    (b"origin", b"https://shop.example.com"),
    (b"referer", b"https://shop.example.com/orders"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-language", b"en"),
    (b"cookie", b"session=0123456789abcdef"),
]

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "scheme": "https",
    "method": "POST",
    "path": "/orders",
    "raw_path": b"/orders",
    "query_string": b"",
    "server": ("shop.example.com", 443),
    "client": ("192.0.2.1", 50_000),
    "headers": HEADERS,
}

App = Callable[[Any, Any, Any], Awaitable[None]]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer as little as an app can."""
    await receive()
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def bare(count: int) -> float:
    """The app alone."""
    return asyncio.run(_microseconds(app, count))


def with_middleware(count: int) -> float:
    """The app within the middleware, while a DataStreams runs."""
    from asyncdsm_asgi import DataStreamsMiddleware

    return asyncio.run(_running(DataStreamsMiddleware(app), count))


def with_ddtrace(count: int) -> float:
    """The app within ddtrace's middleware, which makes a span of each request."""
    ddtrace: Any = import_module("ddtrace.contrib.asgi")
    return asyncio.run(_microseconds(ddtrace.TraceMiddleware(app), count))


def with_opentelemetry(count: int) -> float:
    """The app within OpenTelemetry's middleware, every span recorded and none exported."""
    sdk: Any = import_module("opentelemetry.sdk.trace")
    package: Any = import_module("opentelemetry.instrumentation.asgi")
    return asyncio.run(_microseconds(package.OpenTelemetryMiddleware(app, tracer_provider=sdk.TracerProvider()), count))


async def _running(followed: App, count: int) -> float:
    from asyncdsm import DataStreams
    from asyncdsm.core import current

    async with DataStreams() as streams:
        figure = await _microseconds(followed, count)
        (header,) = await _answered(followed, (b"dd-pathway-ctx-base64", b"AAAAAAAAAAAAAAAA"))
        assert header["status"] == 204
        assert (streams.stats.recorded, current.current_pathway()) == (1, None), "it does not look at requests"
    return figure


async def _answered(app: App, *more: tuple[bytes, bytes]) -> list[Any]:
    answers = list[Any]()

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        answers.append(message)

    await app({"type": "http", "headers": [*HEADERS, *more]}, receive, send)
    return answers[:1]


async def _microseconds(app: App, count: int) -> float:
    """CPU time per request: the least of some blocks, behind one that warms up."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * 17}

    async def send(message: Any) -> None:
        pass

    figures = list[float]()
    for _ in range(BLOCKS + 1):
        scopes = [{**SCOPE} for _ in range(count)]
        start = process_time()
        for scope in scopes:
            await app(scope, receive, send)
        figures.append((process_time() - start) / count * 1e6)
    return min(figures[1:])


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["the app alone"]


def _share(name: str) -> Callable[[Figures], float]:
    return lambda figures: _added("within asyncdsm's middleware")(figures) / _added(name)(figures)


BENCHMARK = Benchmark(
    title="A plain request, CPU",
    unit="µs",
    count=5_000,
    contestants=(
        Contestant("the app alone", "bare"),
        Contestant("within asyncdsm's middleware", "with_middleware"),
        Contestant("within ddtrace's", "with_ddtrace"),
        Contestant("within OpenTelemetry's", "with_opentelemetry"),
    ),
    claims=(
        Claim("asyncdsm adds", _added("within asyncdsm's middleware"), 2, "µs"),
        Claim("of what ddtrace adds", _share("within ddtrace's")),
        Claim("of what OpenTelemetry adds", _share("within OpenTelemetry's")),
    ),
    surroundings=sink,
)
