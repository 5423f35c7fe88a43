"""Consume, transform, produce in transactions of Apache Kafka, of which some are aborted.

What the program got counts, as often as it got it; what it produced counts, whether or not it was committed; commits
and lag are those that Kafka's admin client sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.aio import AIOConsumer, AIOProducer

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import consumer_config, make, read, until
from tests.integrations.kafka.admin import committed_offsets, find_ends, group_lag, recorded_commits, recorded_lag
from tests.integrations.kafka.broker_side import bare_producer, put_messages

Topic = Callable[..., str]
ENDS = ("abort", "commit", "abort", "abort", "commit")
"""How the transactions end; each of them takes the next three messages, again after an abort."""
DELIVERIES = [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5, 3, 4, 5]
COMMITTED = [0, 1, 2, 3, 4, 5]


def transactional(way: str, kafka: Kafka, name: str, **options: Any) -> Any:
    """Return a producer that is ready to begin a transaction."""
    producer = make(way, kafka, "Producer", **{"transactional.id": f"t-{name}", **options})
    producer.init_transactions(60)
    return producer


def reader(way: str, kafka: Kafka, topic: str, group: str) -> Any:
    """Return a consumer of what was committed, subscribed in a group."""
    options = consumer_config(kafka, group, **{"isolation.level": "read_committed"})
    consumer = make(way, kafka, "Consumer", **options)
    consumer.subscribe([topic])
    return consumer


def transform_three(consumer: Any, producer: Any, target: str, end: str) -> list[int]:
    """Send on three messages in a transaction, and return their numbers. After an abort, they come again."""
    producer.begin_transaction()
    got = []
    for _ in range(3):
        (message,) = read(consumer, 1)
        producer.produce(target, message.value())
        got.append(int(message.value()))
    place = consumer.assignment()
    producer.send_offsets_to_transaction(consumer.position(place), consumer.consumer_group_metadata())
    producer.flush(60)
    if end == "commit":
        producer.commit_transaction()
    else:
        producer.abort_transaction()
        for tp in consumer.committed(place, 30):
            consumer.seek(TopicPartition(tp.topic, tp.partition, max(tp.offset, 0)))
    return got


def test_transform_with_aborts_counts_what_the_program_got_and_commits_what_kafka_has(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    source, target, group, next_group = topic(), topic(), topic(prefix="group"), topic(prefix="group")
    put_messages(kafka, source, range(6))
    consumer, producer = reader(way, kafka, source, group), transactional(way, kafka, target)
    assert [number for end in ENDS for number in transform_three(consumer, producer, target, end)] == DELIVERIES
    consumed, produced = captured_streams.consumed(source), captured_streams.produced(target)
    assert [made.parent - 1 for made in consumed] == DELIVERIES
    assert [made.parent for made in produced] == [made.hash for made in consumed]
    assert recorded_commits(captured_streams, group) == committed_offsets(kafka, group) == {(source, 0): 6}
    until(lambda: recorded_lag(group) == [group_lag(kafka, group, source)], lambda: consumer.poll(0.1))
    consumer.close()

    follower = reader(way, kafka, target, next_group)
    assert [int(message.value()) for message in read(follower, 6)] == COMMITTED
    until(lambda: follower.position(follower.assignment())[0].offset == 20, lambda: follower.poll(0.1))
    follower.commit(asynchronous=False)  # after the last marker
    by_number = dict(zip(DELIVERIES, produced, strict=True))
    assert [made.parent for made in captured_streams.consumed(target)] == [by_number[each].hash for each in COMMITTED]
    assert recorded_commits(captured_streams, next_group) == committed_offsets(kafka, next_group) == {(target, 0): 20}
    until(lambda: recorded_lag(next_group) == [group_lag(kafka, next_group, target)] == [0], lambda: follower.poll(0.1))
    follower.close()


def test_lag_contains_an_open_transaction_as_kafkas_own_does(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, group = topic(), topic(prefix="group")
    consumer = reader(way, kafka, name, group)
    with bare_producer(kafka, **{"transactional.id": f"t-{name}"}) as producer:
        producer.init_transactions(60)
        for is_open in (False, True):
            producer.begin_transaction()
            for number in range(2):
                producer.produce(name, str(number))
            producer.flush(60)
            if not is_open:
                producer.commit_transaction()
        read(consumer, 2)
        until(lambda: consumer.position(consumer.assignment())[0].offset == 3, lambda: consumer.poll(0.1))
        consumer.commit(asynchronous=False)
        until(lambda: recorded_lag(group) == [2], lambda: consumer.poll(0.1))
        assert group_lag(kafka, group, name) == 2
        producer.abort_transaction()
        until(lambda: recorded_lag(group) == [0], lambda: consumer.poll(0.1))
        consumer.commit(asynchronous=False)
        assert group_lag(kafka, group, name) == 0
    assert len(captured_streams.consumed(name)) == 2
    assert recorded_commits(captured_streams, group) == committed_offsets(kafka, group) == {(name, 0): 6}
    consumer.close()


def test_message_that_an_abort_purges_stays_counted(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name = topic()
    producer = transactional(way, kafka, name, **{"linger.ms": 30_000})
    producer.begin_transaction()
    producer.produce(name, b"v")
    producer.abort_transaction()
    assert len(captured_streams.produced(name)) == 1
    assert find_ends(kafka, name)[0] == 0
    assert captured_streams.backlogs == {}


async def test_transform_by_asyncio_clients_commits_what_kafka_has(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    """Their messages carry no context: the producer takes no headers."""
    source, target, group = topic(), topic(), topic(prefix="group")
    put_messages(kafka, source, range(3))
    config = {"bootstrap.servers": kafka.bootstrap, "transactional.id": f"t-{target}", "log_level": 0}
    producer = asyncdsm.wrap(AIOProducer(config))
    consumer = asyncdsm.wrap(AIOConsumer(consumer_config(kafka, group)))
    await consumer.subscribe([source])
    await producer.init_transactions(60)
    for end in (producer.abort_transaction, producer.commit_transaction):
        await producer.begin_transaction()
        sent = list[Any]()
        while len(sent) < 3:
            message = await consumer.poll(1.0)
            if message is not None:
                sent.append(await producer.produce(target, message.value()))
        place = await consumer.assignment()
        position = await consumer.position(place)
        await producer.send_offsets_to_transaction(position, await consumer.consumer_group_metadata())
        assert recorded_commits(captured_streams, group) == {}
        await end()
        for future in sent:
            await future
        if end == producer.abort_transaction:
            await consumer.seek(TopicPartition(source, 0, 0))
    await consumer.close()
    await producer.close()
    consumed = captured_streams.consumed(source)
    assert [made.parent - 1 for made in consumed] == [0, 1, 2, 0, 1, 2]
    assert [made.parent for made in captured_streams.produced(target)] == [made.hash for made in consumed]
    assert recorded_commits(captured_streams, group) == {(source, 0): 3}
