"""Messages of 200 bytes through nats-py and a real server: CPU of this process for publishing and consuming one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = b"x" * 200
BLOCKS = 4
SUBJECT = "benchmark"
CONTEXT = "dd-pathway-ctx-base64"

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_microseconds(count, lambda client: client, carries=False))


def bare_with_a_header(count: int) -> float:
    """Nobody follows the messages, and each has a header of a context's size, as its program gave it."""
    header = {"x" * len(CONTEXT): "x" * 28}
    return asyncio.run(_microseconds(count, lambda client: client, carries=False, headers=header))


def asyncdsm_wrapped(count: int) -> float:
    """A connection that is wrapped."""
    return asyncio.run(_wrapped(count))


async def _wrapped(count: int) -> float:
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of a message
        figure = await _microseconds(count, asyncdsm.wrap, carries=True)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


async def _microseconds(count: int, follow: Follow, *, carries: bool, headers: dict[str, str] | None = None) -> float:
    """CPU time per message: the least of some blocks, after one that warms up."""
    import nats

    client = follow(await nats.connect(os.environ["BENCHMARK_NATS"]))
    left, done, last = 0, asyncio.Event(), dict[str, str]()

    async def callback(message: Any) -> None:
        nonlocal left, last
        left -= 1
        last = message.headers or {}
        if left == 0:
            done.set()

    await client.subscribe(SUBJECT, cb=callback)
    await client.flush()
    figures = list[float]()
    for _ in range(BLOCKS + 1):
        left = count
        done.clear()
        start = process_time()
        for number in range(count):
            await client.publish(SUBJECT, BODY, headers=headers)
            if number % 100 == 99:
                await asyncio.sleep(0)  # lets the client write and read
        await done.wait()
        figures.append((process_time() - start) / count * 1e6)
        assert (CONTEXT in last) == carries, "followed by the wrong one, or by nobody"
    await client.close()
    return min(figures[1:])


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.nats import nats_server

    with nats_server() as server, sink() as environ:
        yield {**environ, "BENCHMARK_NATS": server.url}


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


BENCHMARK = Benchmark(
    title="Publish and consume a message through nats-py, CPU",
    unit="µs",
    count=10_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("bare, with a header of that size", "bare_with_a_header"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim("of that, nats-py's own work on a header", _added("bare, with a header of that size"), unit="µs"),
        Claim("a message with asyncdsm, of one without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
    ),
    surroundings=_surroundings,
)
