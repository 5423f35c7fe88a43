"""Entries of 200 bytes through redis-py and a real server: CPU of this process for adding and reading one."""

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
STREAM = "benchmark"
CONTEXT = "dd-pathway-ctx-base64"
AT_ONCE = 10

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the entries."""
    return asyncio.run(_microseconds(count, lambda client: client))


def bare_with_a_field(count: int) -> float:
    """Nobody follows the entries, and each has a field of a context's size, as its program gave it."""
    return asyncio.run(_microseconds(count, lambda client: client, field={"x" * len(CONTEXT): b"x" * 28}))


def asyncdsm_wrapped(count: int) -> float:
    """A client that is wrapped."""
    return asyncio.run(_wrapped(count))


async def _wrapped(count: int) -> float:
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of a message
        figure = await _microseconds(count, asyncdsm.wrap)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


async def _microseconds(count: int, follow: Follow, *, field: dict[str, bytes] | None = None) -> float:
    """CPU time per entry: the least of some blocks, after one that warms up."""
    from redis.asyncio import Redis

    client = follow(Redis.from_url(os.environ["BENCHMARK_REDIS"]))
    await client.delete(STREAM)
    await client.xgroup_create(STREAM, "benchmark", "0", mkstream=True)
    fields = {"body": BODY, **(field or {})}
    figures = list[float]()
    for _ in range(BLOCKS + 1):
        start = process_time()
        for number in range(count):
            await client.xadd(STREAM, fields)
            if number % AT_ONCE == AT_ONCE - 1:
                result = await client.xreadgroup("benchmark", "me", {STREAM: ">"}, count=AT_ONCE, noack=True)
                entries = next(iter(result.values()))[0] if isinstance(result, dict) else result[0][1]
                assert len([entry for entry in entries if len(entry[1]) == len(fields)]) == AT_ONCE
        figures.append((process_time() - start) / count * 1e6)
    await client.aclose()
    return min(figures[1:])


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.redis import redis

    with redis() as url, sink() as environ:
        yield {**environ, "BENCHMARK_REDIS": url}


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


BENCHMARK = Benchmark(
    title="Add and read an entry through redis-py, in tens, CPU",
    unit="µs",
    count=2_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("bare, with a field of that size", "bare_with_a_field"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim("of that, redis-py's own work on a field", _added("bare, with a field of that size"), unit="µs"),
        Claim("an entry with asyncdsm, of one without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
    ),
    surroundings=_surroundings,
)
