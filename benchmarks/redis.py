"""Entries of 200 bytes through redis-py and a real server: CPU of this process for adding and reading one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import process_time

from benchmarks.client_contest import (
    BODY,
    FIELD_NAME,
    FIELD_VALUE,
    Follow,
    follow_nothing,
    make_benchmark,
    measure_wrapped,
)
from benchmarks.sink import sink

BLOCKS = 4
STREAM = "benchmark"
AT_ONCE = 10


def bare(count: int) -> float:
    """Nobody follows the entries."""
    return asyncio.run(_microseconds(count, follow_nothing))


def bare_with_a_field(count: int) -> float:
    """Nobody follows the entries, and each has a field of a context's size, as its program gave it."""
    return asyncio.run(_microseconds(count, follow_nothing, field={FIELD_NAME: FIELD_VALUE.encode()}))


def asyncdsm_wrapped(count: int) -> float:
    """A client that is wrapped."""
    return asyncio.run(measure_wrapped(partial(_microseconds, count), 2 * (BLOCKS + 1) * count))


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


BENCHMARK = make_benchmark("redis-py", "Add and read an entry, in tens,", 2_000, _surroundings, "a field")
