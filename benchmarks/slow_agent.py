"""A program that passes on messages through aiokafka and Apache Kafka while its agent is in trouble: how many a second.

By the clock, since a program that waits for its tracer takes no CPU. Everybody flushes every second, so that trouble is
met at once; what a process takes to end is not measured. dd-trace-go#5404 tells of a tracer that is slowed down so.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from time import perf_counter
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.failing_agents import hanging_agent, refusing_agent
from benchmarks.sink import sink

BODY = b"x" * 200
BURST = 500
WARM_SECONDS = 2.5
"""By then the first bucket has ended, and its flush has met the agent."""
URL = "DD_TRACE_AGENT_URL"
AGENT = "BENCHMARK_AGENT"
"""The name of the agent that a contestant has; `AGENT_NAME` is the agent's URL."""
FOLLOWED = {
    "DD_DATA_STREAMS_ENABLED": "true",
    "_DD_TRACE_STATS_WRITER_INTERVAL": "1",
    "DD_DATA_STREAMS_BUCKET_DURATION_SECONDS": "1",
}

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_messages_per_second(count, lambda client: client))


def asyncdsm_wrapped(count: int) -> float:
    """Both clients, each wrapped."""
    os.environ[URL] = os.environ[f"{AGENT}_{os.environ[AGENT]}"]
    return asyncio.run(_wrapped(count))


def ddtrace_patched(count: int) -> float:
    """What `ddtrace.patch` does to aiokafka."""
    os.environ[URL] = os.environ[f"{AGENT}_{os.environ[AGENT]}"]
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(aiokafka=True)
    return asyncio.run(_messages_per_second(count, lambda client: client))


async def _wrapped(count: int) -> float:
    import asyncdsm

    settings = asyncdsm.Settings.from_environ(os.environ, shutdown_seconds=0.1)
    async with asyncdsm.DataStreams(settings) as streams:
        figure = await _messages_per_second(count, asyncdsm.wrap)
        if os.environ[AGENT] in ANSWERS:
            await streams.flush()
            assert streams.stats.delivered
        else:
            assert not streams.stats.delivered
        assert not streams.stats.errors
    return figure


async def _messages_per_second(seconds: int, follow: Follow) -> float:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    from tests.brokers.kafka import Kafka

    broker = os.environ["BENCHMARK_KAFKA"]
    topic = Kafka(broker).topic()
    producer: Any = follow(AIOKafkaProducer(bootstrap_servers=broker))
    consumer: Any = follow(
        AIOKafkaConsumer(topic, bootstrap_servers=broker, group_id=topic, auto_offset_reset="earliest")
    )
    async with producer, consumer:
        await _pass_on(producer, consumer, topic, WARM_SECONDS)
        start = perf_counter()
        passed = await _pass_on(producer, consumer, topic, seconds)
        return passed / (perf_counter() - start)


async def _pass_on(producer: Any, consumer: Any, topic: str, seconds: float) -> int:
    passed, end = 0, perf_counter() + seconds
    while perf_counter() < end:
        for _ in range(BURST):
            await producer.send(topic, BODY)
        await producer.flush()
        for _ in range(BURST):
            await consumer.getone()
        passed += BURST
    return passed


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.apache_kafka import apache_kafka

    with (
        apache_kafka() as kafka,
        sink() as well,
        sink(slow=True) as slow,
        hanging_agent() as hanging,
        refusing_agent() as refusing,
    ):
        urls = {WELL: well[URL], SLOW: slow[URL], HANGS: hanging, REFUSES: refusing}
        yield {"BENCHMARK_KAFKA": kafka.bootstrap, **{f"{AGENT}_{name}": url for name, url in urls.items()}}


WELL, SLOW, HANGS, REFUSES = "answers", "answers slowly", "hangs", "refuses"
ANSWERS, TROUBLES = (WELL, SLOW), (SLOW, HANGS, REFUSES)
CONTESTANTS = {"asyncdsm": "asyncdsm_wrapped", "ddtrace": "ddtrace_patched"}


def _name(who: str, agent: str) -> str:
    return f"{who}, while the agent {agent}"


def _slowed(who: str, agent: str) -> Claim:
    def share(figures: Figures) -> float:
        return figures[_name(who, WELL)] / figures[_name(who, agent)]

    text = f"{who}, a message while the agent {agent}, of when it answers"
    return Claim(text, share, 1.1 if who == "asyncdsm" else None)


def _of_bare(who: str, agent: str) -> Claim:
    text = f"{who}, a message while the agent {agent}, of a bare one"
    return Claim(text, lambda figures: figures["bare"] / figures[_name(who, agent)])


BENCHMARK = Benchmark(
    title="Messages passed on through aiokafka while the agent is in trouble, a second by the clock",
    unit="messages/s",
    count=3,
    contestants=(
        Contestant("bare", "bare"),
        *(
            Contestant(_name(who, agent), function, {**FOLLOWED, AGENT: agent})
            for agent in (WELL, *TROUBLES)
            for who, function in CONTESTANTS.items()
        ),
    ),
    claims=(
        *(_slowed(who, agent) for agent in TROUBLES for who in CONTESTANTS),
        *(_of_bare(who, agent) for agent in (WELL, HANGS) for who in CONTESTANTS),
    ),
    surroundings=_surroundings,
    most_rounds=3,
)
