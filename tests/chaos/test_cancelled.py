"""Two thousand tasks cancelled at random points, seeded: each message that went or came is counted once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.streams import running_streams
from tests.brokers.kafka import Kafka
from tests.chaos.leftovers import no_tasks_left_over
from tests.chaos.program import balanced
from tests.intake import Intake, running_intake

TASKS, LIVES, AT_ONCE = 2000, 60, 50


@pytest.fixture
def intake() -> Iterator[Intake]:
    """An agent that takes everything."""
    with running_intake() as intake:
        yield intake


async def test_cancelling_two_thousand_tasks_keeps_parents_right(kafka: Kafka, intake: Intake) -> None:
    randomly, topic = Random(8), await asyncio.to_thread(kafka.topic)
    settings = Settings(service="s", agent_url=intake.url, bucket_seconds=0.5, flush_seconds=0.2)
    wrapped = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap))
    async with no_tasks_left_over(), DataStreams(settings) as streams, wrapped as producer:

        async def work(number: int) -> None:
            if number % 10 == 0:
                await streams.flush()
            asyncdsm.set_consume_checkpoint("nats", "source", nothing.get)
            consumed.append(number)
            await asyncio.sleep(0)
            await producer.send_and_wait(topic, b"%d" % number, headers=[("own", b"1")])

        consumed, nothing = list[int](), dict[str, str]()
        for first in range(0, TASKS, AT_ONCE):
            tasks = [asyncio.create_task(work(number)) for number in range(first, first + AT_ONCE)]
            for task in tasks:
                asyncio.get_running_loop().call_later(randomly.random() * 0.02, task.cancel)
            await asyncio.wait(tasks)
            assert balanced(streams.stats)
        await producer.flush()
        sent = await on_broker(kafka, topic)
    assert 0 < len(sent) < TASKS, "some were cancelled, some were not"
    assert len(set(sent)) == len(sent)
    assert streams.stats.recorded == streams.stats.delivered == len(consumed) + len(sent) == intake.counted()
    assert streams.stats.errors == 0


async def on_broker(kafka: Kafka, topic: str) -> list[bytes | None]:
    """Read what really stands on the broker, with a client that is not wrapped."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as bare:
        ends = await bare.end_offsets(list(bare.assignment()))
        return [(await bare.getone()).value for _ in range(sum(ends.values()))]


async def test_cancelled_read_counts_nothing(kafka: Kafka, intake: Intake) -> None:
    randomly, topic, count = Random(9), await asyncio.to_thread(kafka.topic), 1000
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as bare:
        for number in range(count):
            await bare.send(topic, b"%d" % number)
    read = list[bytes | None]()
    settings = Settings(service="s", agent_url=intake.url)
    options = {"bootstrap_servers": kafka.bootstrap, "auto_offset_reset": "earliest", "max_poll_records": 5}
    wrapped = asyncdsm.wrap(AIOKafkaConsumer(topic, **options))
    async with no_tasks_left_over(), DataStreams(settings) as streams, wrapped as consumer:

        async def read_on() -> None:
            while len(read) < count:
                read.append((await consumer.getone()).value)
                await asyncio.sleep(0)

        while len(read) < count:
            task = asyncio.create_task(read_on())
            asyncio.get_running_loop().call_later(randomly.random() * 0.01, task.cancel)
            await asyncio.wait([task])
    assert read == [b"%d" % number for number in range(count)]
    assert streams.stats.recorded == streams.stats.delivered == count == intake.counted()


async def test_cancelled_data_streams_delivers(intake: Intake) -> None:
    """Starting, flushing, stopping: cancelled anywhere, what was recorded is delivered, and the next one starts."""
    randomly, made, lives, headers = Random(10), 0, list[DataStreams](), dict[str, str]()
    settings = Settings(service="s", agent_url=intake.url, flush_seconds=0.01, bucket_seconds=0.05)

    async def live() -> None:
        nonlocal made
        lives.append(DataStreams(settings))
        async with lives[-1] as streams:
            for _ in range(5):
                asyncdsm.set_produce_checkpoint("nats", "t", headers.__setitem__)
                made += 1
                await asyncio.sleep(0)
                await streams.flush()

    for _ in range(LIVES):
        task = asyncio.create_task(live())
        asyncio.get_running_loop().call_later(randomly.random() * 0.05, task.cancel)
        await asyncio.wait([task])
        assert running_streams() is None
    assert made > 0
    assert sum(each.stats.delivered for each in lives) == made == intake.counted()
    assert all(balanced(each.stats) and each.stats.pending == 0 for each in lives)
