"""A plain request through an ASGI app, called as a server calls it, with the headers of a browser: CPU of one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant
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


async def _running(followed: App, count: int) -> float:
    from asyncdsm import DataStreams, checkpoint

    async with DataStreams() as streams:
        figure = await _microseconds(followed, count)
        (header,) = await _answered(followed, (b"dd-pathway-ctx-base64", b"AAAAAAAAAAAAAAAA"))
        assert header["status"] == 204
        assert (streams.stats.recorded, checkpoint.current_pathway()) == (1, None), "it does not look at requests"
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
        scopes = [{"type": "http", "method": "POST", "path": "/orders", "headers": HEADERS} for _ in range(count)]
        start = process_time()
        for scope in scopes:
            await app(scope, receive, send)
        figures.append((process_time() - start) / count * 1e6)
    return min(figures[1:])


BENCHMARK = Benchmark(
    title="A plain request, CPU",
    unit="µs",
    count=20_000,
    contestants=(Contestant("the app alone", "bare"), Contestant("within the middleware", "with_middleware")),
    claims=(Claim("what the middleware adds", lambda f: f["within the middleware"] - f["the app alone"], 2, "µs"),),
    surroundings=sink,
)
