"""Messages of 200 bytes through aiokafka and a real broker: CPU of this process for producing and consuming one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = b"x" * 200
BLOCKS = 4
HEADER = "dd-pathway-ctx-base64"
DDTRACE = {"DD_DATA_STREAMS_ENABLED": "true"}

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_microseconds(_topic(), count, lambda client: client, followed=False))


def asyncdsm_wrapped(count: int) -> float:
    """A producer and a consumer, each wrapped."""
    return asyncio.run(_wrapped(_topic(), count))


def ddtrace_patched(count: int) -> float:
    """What `ddtrace.patch` does to aiokafka."""
    topic = _topic()
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(aiokafka=True)
    return asyncio.run(_microseconds(topic, count, lambda client: client, followed=True))


async def _wrapped(topic: str, count: int) -> float:
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        figure = await _microseconds(topic, count, asyncdsm.wrap, followed=True)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


async def _microseconds(topic: str, count: int, follow: Follow, *, followed: bool) -> float:
    """CPU time per message: the least of some blocks, behind one that warms up."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    broker = os.environ["BENCHMARK_KAFKA"]
    producer: Any = follow(AIOKafkaProducer(bootstrap_servers=broker))
    consumer: Any = follow(
        AIOKafkaConsumer(topic, bootstrap_servers=broker, group_id=topic, auto_offset_reset="earliest")
    )
    async with producer, consumer:
        figures = [await _block(producer, consumer, topic, count, followed) for _ in range(BLOCKS + 1)]
    return min(figures[1:])


async def _block(producer: Any, consumer: Any, topic: str, count: int, followed: bool) -> float:
    start = process_time()
    for _ in range(count):
        await producer.send(topic, BODY)
    await producer.flush()
    record: Any = None
    for _ in range(count):
        record = await consumer.getone()
    spent = process_time() - start
    assert (HEADER in dict(record.headers)) is followed, "followed by the wrong one, or by nobody"
    return spent / count * 1e6


def _topic() -> str:
    from tests.brokers.kafka import Kafka

    return Kafka(os.environ["BENCHMARK_KAFKA"]).topic()


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.noida import noida

    with noida() as kafka, sink() as environ:
        yield {**environ, "BENCHMARK_KAFKA": kafka.bootstrap}


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


def _share(name: str) -> Callable[[Figures], float]:
    return lambda figures: _added("asyncdsm.wrap")(figures) / _added(name)(figures)


BENCHMARK = Benchmark(
    title="Produce and consume a message through aiokafka, CPU",
    unit="µs",
    count=5_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
        Contestant("ddtrace, as it comes", "ddtrace_patched", DDTRACE),
        Contestant("ddtrace, DD_TRACE_ENABLED=false", "ddtrace_patched", {**DDTRACE, "DD_TRACE_ENABLED": "false"}),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim("what ddtrace adds, as it comes", _added("ddtrace, as it comes"), unit="µs"),
        Claim("what asyncdsm adds, of ddtrace as it comes", _share("ddtrace, as it comes"), 1 / 30),
        Claim(
            "what asyncdsm adds, of ddtrace, DD_TRACE_ENABLED=false", _share("ddtrace, DD_TRACE_ENABLED=false"), 1 / 30
        ),
    ),
    surroundings=_surroundings,
)
