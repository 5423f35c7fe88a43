"""Messages of 200 bytes through nats-py and a real server: CPU of this process for publishing and consuming one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import process_time
from typing import Any

from benchmarks.client_contest import BODY, CONTEXT, Follow, make_benchmark, make_contestants
from benchmarks.sink import sink

BLOCKS = 4
SUBJECT = "benchmark"


async def _microseconds(count: int, follow: Follow, *, carries: bool, fields: dict[Any, Any]) -> float:
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
            await client.publish(SUBJECT, BODY, headers=fields or None)
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


bare, bare_with_a_field, asyncdsm_wrapped = make_contestants(_microseconds, BLOCKS + 1)
BENCHMARK = make_benchmark("nats-py", "Publish and consume a message", 10_000, _surroundings)
