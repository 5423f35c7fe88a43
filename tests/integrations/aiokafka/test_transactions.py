"""Consume, transform, produce in transactions of Apache Kafka with aiokafka, of which some are aborted.

What the program got counts, as often as it got it; what it produced counts, whether or not it was committed; commits
and lag are those that Kafka's admin client sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic, consumer_of
from tests.integrations.kafka.admin import committed_offsets, group_lag, recorded_commits, recorded_lag
from tests.integrations.kafka.broker_side import put_messages
from tests.integrations.kafka.test_transactions import COMMITTED, DELIVERIES, ENDS

SECONDS = 60.0


def reader(kafka: Kafka, topic: str, group: str) -> AIOKafkaConsumer:
    """Return a consumer of what was committed, in a group, that commits nothing itself."""
    return consumer_of(kafka, topic, group, isolation_level="read_committed", enable_auto_commit=False)


def transactional(kafka: Kafka, name: str, **options: Any) -> AIOKafkaProducer:
    """Return a wrapped producer of transactions."""
    options = {"transactional_id": f"t-{name}", **options}
    return asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, **options))


async def read_until(consumer: AIOKafkaConsumer, is_reached: Callable[[], Any]) -> None:
    """Let a consumer read, which gets no more messages, until the condition holds."""
    async with asyncio.timeout(SECONDS):
        while not is_reached():
            assert await consumer.getmany(timeout_ms=50) == {}


async def transform_three(
    consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, target: str, group: str, end: str
) -> list[int]:
    """Send on three messages in a transaction, and return their numbers. After an abort, they come again."""
    await producer.begin_transaction()
    got = []
    for _ in range(3):
        message = await consumer.getone()
        await producer.send_and_wait(target, message.value)
        got.append(int(message.value or b""))
    (place,) = consumer.assignment()
    await producer.send_offsets_to_transaction({place: await consumer.position(place)}, group)
    if end == "commit":
        await producer.commit_transaction()
    else:
        await producer.abort_transaction()
        consumer.seek(place, await consumer.committed(place) or 0)
    return got


async def test_transform_with_aborts_counts_what_the_program_got_and_commits_what_kafka_has(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    source, target, group, next_group = topic(), topic(), topic(prefix="group"), topic(prefix="group")
    await asyncio.to_thread(put_messages, kafka, source, range(6))
    async with (
        asyncio.timeout(SECONDS),
        reader(kafka, source, group) as consumer,
        transactional(kafka, target) as producer,
    ):
        got = [number for end in ENDS for number in await transform_three(consumer, producer, target, group, end)]
        assert got == DELIVERIES
        assert recorded_lag(group) == [await asyncio.to_thread(group_lag, kafka, group, source)] == [0]
    consumed, produced = captured_streams.consumed(source), captured_streams.produced(target)
    assert [made.parent - 1 for made in consumed] == DELIVERIES
    assert [made.parent for made in produced] == [made.hash for made in consumed]
    committed = await asyncio.to_thread(committed_offsets, kafka, group)
    assert recorded_commits(captured_streams, group) == committed == {(source, 0): 6}

    async with asyncio.timeout(SECONDS), reader(kafka, target, next_group) as follower:
        assert [int((await follower.getone()).value or b"") for _ in COMMITTED] == COMMITTED
        await read_until(follower, lambda: recorded_lag(next_group) == [0])
        await follower.commit()  # after the last marker
        assert await asyncio.to_thread(group_lag, kafka, next_group, target) == 0
    by_number = dict(zip(DELIVERIES, produced, strict=True))
    assert [made.parent for made in captured_streams.consumed(target)] == [by_number[each].hash for each in COMMITTED]
    committed = await asyncio.to_thread(committed_offsets, kafka, next_group)
    assert recorded_commits(captured_streams, next_group) == committed == {(target, 0): 20}


async def test_lag_contains_an_open_transaction_as_kafkas_own_does(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name, group = topic(), topic(prefix="group")
    bare = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"t-{name}")
    async with asyncio.timeout(SECONDS), reader(kafka, name, group) as consumer, bare as producer:
        async with producer.transaction():
            await producer.send_and_wait(name, b"0")
        await producer.begin_transaction()
        await producer.send_and_wait(name, b"1")
        await producer.send_and_wait(name, b"2")
        await consumer.getone()
        await read_until(consumer, lambda: recorded_lag(group) == [2])
        await consumer.commit()
        assert await asyncio.to_thread(group_lag, kafka, group, name) == 2
        await producer.abort_transaction()
        await read_until(consumer, lambda: recorded_lag(group) == [0])
        await consumer.commit()
        assert await asyncio.to_thread(group_lag, kafka, group, name) == 0
    assert len(captured_streams.consumed(name)) == 1
    assert recorded_commits(captured_streams, group) == {(name, 0): 5}
