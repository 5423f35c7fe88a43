"""How many payloads of 50 points an agent takes in a second: a process of its own, real HTTP, 16 connections.

Each payload counts 5,000 messages. Who sends them has a core of its own where there are two; an agent that is slower
than its senders makes them wait, so that nothing piles up anywhere.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter, time_ns
from urllib.parse import urlsplit

from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.payload import pack
from asyncdsm.settings import Settings
from benchmarks.contest import Benchmark, Claim, Contestant

CONNECTIONS, SERVICES, POINTS, MESSAGES = 16, 40, 50, 100
_HEAD = (
    "POST /v0.1/pipeline_stats HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/msgpack\r\n"
    "Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n"
)


def into_a_file(count: int) -> float:
    """Send `count` payloads to an agent with a file; return microseconds a payload."""
    with TemporaryDirectory() as folder, agent("--store", str(Path(folder, "store.db"))) as url:
        return asyncio.run(send_all(url, count))


def into_memory(count: int) -> float:
    """Send them to an agent that keeps everything in memory."""
    with agent() as url:
        return asyncio.run(send_all(url, count))


def computing(count: int) -> float:
    """Send them to one with a file; return the agent's CPU time a payload."""
    before = getrusage(RUSAGE_CHILDREN)
    into_a_file(count)
    after = getrusage(RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count * 1e6


@contextmanager
def agent(*arguments: str) -> Iterator[str]:
    """Run an agent on a free port; yield its address."""
    command = [sys.executable, "-m", "asyncdsm", "agent", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rsplit(" ", 1)[1].strip()
        finally:
            process.terminate()


def bodies() -> list[bytes]:
    """Return the payloads of some services, of the bucket that just ended."""
    now = time_ns() - 10_000_000_000
    return [_body(random.Random(number), f"service-{number}", now) for number in range(SERVICES)]


def _body(chance: random.Random, service: str, now: int) -> bytes:
    aggregator = Aggregator(service, "bench", now=lambda: now)
    for number in range(POINTS):
        point = aggregator.point(Edge("direction:out", f"topic:topic-{number}", "type:kafka"), 0)
        for _ in range(MESSAGES):
            latency = round(chance.lognormvariate(17, 0.5))  # about 24 ms
            aggregator.record(point, now, latency, 3 * latency, chance.randrange(200, 2_000))
    (bucket,) = aggregator.take()
    return pack(bucket, aggregator.bucket_ns, Settings(service=service, env="bench")).body


async def send_all(url: str, count: int, connections: int = CONNECTIONS) -> float:
    """Send `count` payloads over some connections; return microseconds a payload."""
    requests = cycle([_HEAD.format(len(body)).encode() + body for body in bodies()])
    left = iter(range(count))
    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_send(url, requests, left))
    return (perf_counter() - began) / count * 1e6


async def _send(url: str, requests: Iterator[bytes], left: Iterator[int]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for _ in left:
        writer.write(next(requests))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 202"), head
        await reader.readexactly(len(b'{"acknowledged":true}'))
    writer.close()
    await writer.wait_closed()


BENCHMARK = Benchmark(
    title="The local agent's intake: a payload of 50 points, 5,000 messages ({count} payloads)",
    unit="µs",
    count=6_000,
    contestants=(
        Contestant("into a file", "into_a_file"),
        Contestant("into memory", "into_memory"),
        Contestant("CPU time, into a file", "computing"),
    ),
    claims=(Claim("a payload into a file: 1,000 a second", lambda f: f["into a file"], 1_000, "µs"),),
)
