"""Brokers that stand still, or go and come back, under load.

RabbitMQ is killed and started again in tests/integrations/aio_pika/test_restarts.py.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractIncomingMessage
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core.context import HEADER
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.kafka import Kafka
from tests.brokers.mock_cluster import MockCluster
from tests.brokers.process import paused, running
from tests.brokers.rabbitmq import RabbitMQ, rabbitmq
from tests.chaos.leftovers import no_tasks_left_over
from tests.chaos.program import running_program
from tests.intake import Intake, running_intake

PAUSES, PAUSE_SECONDS = 2, 1.5
MESSAGES, PUBLISHERS = 2000, 20


@pytest.fixture
def intake() -> Iterator[Intake]:
    """An agent that takes everything."""
    with running_intake() as intake:
        yield intake


@pytest.fixture
def still_kafka() -> Iterator[tuple[Kafka, set[int]]]:
    """A Kafka of the test's own, and what to pause."""
    others = set(running)
    with apache_kafka() as kafka:
        yield kafka, running - others


@pytest.fixture
def still_rabbitmq() -> Iterator[tuple[RabbitMQ, set[int]]]:
    """A RabbitMQ of the test's own, and what to pause."""
    others = set(running)
    with rabbitmq() as broker:
        yield broker, running - others


def measured(intake: Intake) -> DataStreams:
    return DataStreams(Settings(service="s", agent_url=intake.url, bucket_seconds=0.5, flush_seconds=0.3))


async def test_frozen_kafka_keeps_the_counters_balanced(intake: Intake, still_kafka: tuple[Kafka, set[int]]) -> None:
    kafka, guards = still_kafka
    async with no_tasks_left_over(), measured(intake) as streams, running_program(kafka) as program:
        stop = asyncio.Event()
        working = asyncio.create_task(program.pass_on_until(stop))
        for _ in range(PAUSES):
            await asyncio.sleep(0.3)
            with paused(guards):
                await asyncio.sleep(PAUSE_SECONDS)
        await asyncio.sleep(0.3)
        stop.set()
        await working
    assert streams.stats.delivered == streams.stats.recorded == program.checkpoints == intake.counted() > 0
    assert streams.stats.errors == 0


async def test_restarted_kafka_keeps_the_counters_balanced(intake: Intake, mock_kafka: MockCluster) -> None:
    """Its answer lost, a batch is sent again by the client, and comes twice: each that comes is counted."""
    topic, acknowledged, came = mock_kafka.topic(), set[bytes](), Counter[bytes]()
    taken = 0
    stop = asyncio.Event()

    async def produce(number: int, producer: AIOKafkaProducer) -> None:
        nonlocal taken
        while not stop.is_set():
            value, headers = b"%d %d" % (number, taken), [("own", b"1")]
            try:
                answer = await producer.send(topic, value, headers=headers)
                taken += 1
                await answer
                acknowledged.add(value)
            except KafkaError:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.001)

    async def consume(consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            assert [header for header in record.headers if header[0] != HEADER] == [("own", b"1")]
            came[record.value or b""] += 1

    async with no_tasks_left_over(), measured(intake) as streams:
        producer = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=mock_kafka.bootstrap, request_timeout_ms=20_000))
        consumer = asyncdsm.wrap(
            AIOKafkaConsumer(topic, bootstrap_servers=mock_kafka.bootstrap, auto_offset_reset="earliest")
        )
        async with producer, consumer:
            producing = [asyncio.create_task(produce(number, producer)) for number in range(PUBLISHERS)]
            consuming = asyncio.create_task(consume(consumer))
            for _ in range(2):
                await asyncio.sleep(0.5)
                mock_kafka.down()
                await asyncio.sleep(1)
                mock_kafka.up()
            await asyncio.sleep(0.5)
            stop.set()
            async with asyncio.timeout(60):
                await asyncio.gather(*producing)
                while not acknowledged <= came.keys():
                    await asyncio.sleep(0.05)
            consuming.cancel()
            await asyncio.wait([consuming])
    assert acknowledged
    assert streams.stats.delivered == streams.stats.recorded == taken + came.total() == intake.counted()
    assert streams.stats.errors == 0


async def test_frozen_rabbitmq_keeps_the_counters_balanced(
    intake: Intake, still_rabbitmq: tuple[RabbitMQ, set[int]]
) -> None:
    broker, guards = still_rabbitmq
    came, todo = Counter[bytes](), list(range(MESSAGES))
    async with (
        no_tasks_left_over(),
        measured(intake) as streams,
        asyncdsm.wrap(await aio_pika.connect_robust(broker.url)) as connection,
    ):
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=50)
        queue = await channel.declare_queue("orders")

        async def take(message: AbstractIncomingMessage) -> None:
            assert {key: value for key, value in message.headers.items() if key != HEADER} == {"own": "1"}
            came[message.body] += 1
            await message.ack()

        async def publish() -> None:
            while todo:
                message = Message(b"%d" % todo.pop(), headers={"own": "1"})
                await channel.default_exchange.publish(message, "orders")
                assert message.headers == {"own": "1"}
                await asyncio.sleep(0.005)

        await queue.consume(take)
        publishing = [asyncio.create_task(publish()) for _ in range(PUBLISHERS)]
        for _ in range(PAUSES):
            await asyncio.sleep(0.1)
            with paused(guards):
                await asyncio.sleep(PAUSE_SECONDS)
        async with asyncio.timeout(60):
            await asyncio.gather(*publishing)
            while came.total() < MESSAGES:
                await asyncio.sleep(0.05)
    assert came == Counter(b"%d" % number for number in range(MESSAGES))
    assert streams.stats.delivered == streams.stats.recorded == 2 * MESSAGES == intake.counted()
    assert streams.stats.errors == 0
