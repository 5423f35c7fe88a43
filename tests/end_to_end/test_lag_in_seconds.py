"""A group on a real Kafka that keeps up, stops, and recovers: the agent says how old its messages are, and its trend.

Messages and commits are real. Only the clock is the test's, so that minutes pass at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from anyio import to_thread

import asyncdsm
from asyncdsm import Settings
from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.delivery.payload import pack
from asyncdsm.streams import capturing
from tests.agent.payloads import NOW, Client
from tests.brokers.kafka import Kafka

SECOND_NS = 10**9
Shown = tuple[int, float, str | None, float | None]
"""Messages behind, seconds, trend, and seconds until done."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return asyncio, which aiokafka needs."""
    return "asyncio"


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.ns: int = int(NOW) * SECOND_NS

    def seconds(self) -> float:
        """Return the time in seconds since the epoch."""
        return self.ns / SECOND_NS


class Pipeline:
    """A producer, a consumer of a group, and an agent, with a clock that moves by ten seconds at each step."""

    def __init__(
        self, clock: Clock, store: SQLiteStore, agent: Client, *, topic: str, producer: Any, consumer: Any
    ) -> None:
        self.clock, self.store, self.agent, self.topic = clock, store, agent, topic
        self.producer: AIOKafkaProducer = asyncdsm.wrap(producer)
        self.consumer: AIOKafkaConsumer = asyncdsm.wrap(consumer)
        self.aggregator: Aggregator = Aggregator("billing", None, now=lambda: clock.ns)

    async def step(self, *, produced: int, consumed: int) -> None:
        """Produce and consume messages, commit if any were consumed, and report what was measured in ten seconds."""
        for _ in range(produced):
            await self.producer.send_and_wait(self.topic, b"{}")
        for _ in range(consumed):
            await self.consumer.getone()
        if consumed:
            await self.consumer.commit()
        self.clock.ns += 10 * SECOND_NS
        for bucket in self.aggregator.take(self.clock.ns):
            body = pack(bucket, self.aggregator.bucket_ns, Settings(service="billing")).body
            response = await self.agent.report(body, gzipped=True)
            assert response.status_code == 202
        await to_thread.run_sync(self.store.flush)  # as the agent does every ten seconds of its own clock

    async def shown(self) -> Shown:
        """Return the lag of the partition and of the edge, which is the same."""
        answer = await self.agent.topology(60)
        ((behind, *of_partition),) = [
            (each["behind"], each["seconds"], each["trend"], each["done_in"]) for each in answer["lag"]
        ]
        ((lag, *of_edge),) = [
            (each["lag"], each["lag_seconds"], each["lag_trend"], each["lag_done_in"])
            for each in answer["edges"]
            if each["direction"] == "in"
        ]
        assert (behind, of_partition) == (lag, of_edge)
        seconds, trend, done_in = of_partition
        return behind, seconds, trend, done_in


@pytest.fixture
def clock() -> Clock:
    """The clock of all parts."""
    return Clock()


@pytest.fixture
def store(clock: Clock) -> SQLiteStore:
    """The agent's store."""
    return SQLiteStore(now=clock.seconds)


@pytest.fixture
async def pipeline(
    kafka: Kafka, topic: Callable[..., str], clock: Clock, store: SQLiteStore
) -> AsyncIterator[Pipeline]:
    """Run all parts."""
    name = topic()
    consumer = AIOKafkaConsumer(
        name,
        bootstrap_servers=kafka.bootstrap,
        group_id=f"group-of-{name}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with (
        running_agent(store=store) as agent,
        Client(base_url=agent.url, timeout=20) as client,
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        consumer,
    ):
        pipeline = Pipeline(clock, store, client, topic=name, producer=producer, consumer=consumer)
        with capturing(pipeline.aggregator):
            yield pipeline


async def test_group_that_falls_behind_and_recovers(pipeline: Pipeline) -> None:
    for _ in range(8):
        await pipeline.step(produced=10, consumed=10)
    assert await pipeline.shown() == (0, 0.0, "steady", None)

    for _ in range(18):
        await pipeline.step(produced=30, consumed=0)
    # What a silent group commits may be on its way for 20 seconds: the lag is that of the 16th step.
    behind, seconds, trend, done_in = await pipeline.shown()
    assert (behind, trend, done_in) == (16 * 30, "falling behind", None)
    assert seconds == pytest.approx(160 - 10 / 60)

    for _ in range(12):
        await pipeline.step(produced=10, consumed=40)
    behind, seconds, trend, done_in = await pipeline.shown()
    assert (behind, trend) == (18 * 30 - 12 * 30, "catching up")
    assert done_in == pytest.approx(behind / 3)
    # It has read 480 messages since it stopped: the next one came at the beginning of the 17th step, 140 seconds ago.
    assert seconds == pytest.approx(140 - 10 / 60)

    for _ in range(6):
        await pipeline.step(produced=10, consumed=40)
    assert await pipeline.shown() == (0, 0.0, "steady", None)
