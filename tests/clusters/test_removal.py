"""What Apache Kafka removes from a topic: by compaction, after its retention, and when it is told to.

The Kafka of these tests looks every moment whether there is something to remove. Both clients are tested here, since
they share it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from time import monotonic
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.core.pathway import Pathway
from asyncdsm.testing import Captured
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import consumer_of
from tests.integrations.confluent.clients import (
    PATIENCE_SECONDS,
    bare_class,
    consumer_config,
    from_start,
    make,
    read,
    until,
)
from tests.integrations.kafka.admin import (
    committed_offsets,
    delete_before,
    find_ends,
    group_lag,
    recorded_commits,
    recorded_lag,
    set_config,
)
from tests.integrations.kafka.broker_side import bare_producer, put_messages

RETENTION_SECONDS = 120.0
"""How long Kafka may take to delete messages: on a busy machine, it does so late."""
CLEANING = {"log.cleaner.backoff.ms": "50", "log.retention.check.interval.ms": "50", "log.initial.task.delay.ms": "0"}
COMPACTED = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.001",
    "delete.retention.ms": "0",
}
SENT: list[tuple[str, bytes | None]] = [
    ("kept", b"old"),
    ("gone", b"value"),
    ("kept", b"new"),
    ("gone", None),
    ("other", b""),
]
FILLER = b"filler"
CONTEXT_BYTES = len(HEADER) + 28


class Read(NamedTuple):
    """A message as the program got it."""

    key: bytes
    value: bytes | None
    parent: int
    """The hash in its context, 0 without one."""


@pytest.fixture(scope="module")
def cleaning_kafka() -> Iterator[Kafka]:
    """A Kafka that removes things soon."""
    with apache_kafka(CLEANING) as kafka:
        yield kafka


def wait_for_compaction(kafka: Kafka, topic: str) -> None:
    """Fill the topic until Kafka has compacted what came before: the newest part of a topic is never compacted."""
    set_config(kafka, topic, "segment.ms", "50")
    deadline, consumer = monotonic() + PATIENCE_SECONDS, bare_class("Consumer")(consumer_config(kafka, "bare"))
    for number in count():
        assert monotonic() < deadline, "Kafka has not compacted the topic"
        with bare_producer(kafka) as bare:
            bare.produce(topic, b"%d" % number, FILLER)
        from_start(consumer, topic)
        if [each.key() for each in read_to_end(consumer, kafka, topic) if each.key() != FILLER] == [b"kept", b"other"]:
            break
    consumer.close()


def read_to_end(consumer: Any, kafka: Kafka, topic: str) -> list[Any]:
    """Read all messages of a topic: its last one is never compacted away."""
    messages, end = list[Any](), find_ends(kafka, topic)[0]
    while not messages or messages[-1].offset() < end - 1:
        messages += read(consumer, 1)
    return messages


def read_parent(headers: Any) -> int:
    """Return the hash of the context among headers, 0 without one."""
    for name, value in headers or ():
        if name == HEADER and (pathway := Pathway.decode_base64(value)) is not None:
            return pathway.hash
    return 0


def check_counts(captured: Captured, topic: str, got: list[Read]) -> None:
    """Compare the checkpoints of a topic with what the program got."""
    produced, consumed = captured.produced(topic), captured.consumed(topic)
    sizes = [len(each.key) + len(each.value or b"") + CONTEXT_BYTES * bool(each.parent) for each in got]
    assert [made.size for made in consumed] == sizes
    assert [made.parent for made in consumed] == [each.parent for each in got]
    assert {each.parent for each in got} == {made.hash for made in produced} | {0}
    assert [made.size for made in produced] == [len(key) + len(value or b"") + CONTEXT_BYTES for key, value in SENT]


def check_reads(before: list[Read], after: list[Read]) -> None:
    """What was sent is read first; after the compaction, the newest value of each key that was not deleted."""
    assert [(each.key.decode(), each.value) for each in before] == SENT
    assert all((each.parent == 0) == (each.key == FILLER) for each in before + after)
    kept = [(each.key, each.value) for each in after if each.key != FILLER]
    assert kept == [(b"kept", b"new"), (b"other", b"")]
    assert Counter(each.key for each in after)[FILLER] > 0


def test_compacted_topic_with_tombstones_counts_what_is_read(
    cleaning_kafka: Kafka, way: str, captured_streams: Captured
) -> None:
    kafka, name = cleaning_kafka, cleaning_kafka.topic(config=COMPACTED)
    producer = make(way, kafka, "Producer")
    for key, value in SENT:
        producer.produce(name, value, key)
    assert producer.flush(60) == 0

    def read_all() -> list[Read]:
        consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), name)
        messages = read_to_end(consumer, kafka, name)
        consumer.close()
        return [Read(each.key(), each.value(), read_parent(each.headers())) for each in messages]

    before = read_all()
    wait_for_compaction(kafka, name)
    after = read_all()
    check_reads(before, after)
    check_counts(captured_streams, name, before + after)


async def test_compacted_topic_with_tombstones_counts_what_aiokafka_reads(
    cleaning_kafka: Kafka, captured_streams: Captured
) -> None:
    kafka = cleaning_kafka
    name = await asyncio.to_thread(kafka.topic, config=COMPACTED)
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        for key, value in SENT:
            await producer.send_and_wait(name, value, key=key.encode())

    async def read_all() -> list[Read]:
        messages, end = list[Any](), (await asyncio.to_thread(find_ends, kafka, name))[0]
        async with asyncio.timeout(PATIENCE_SECONDS), consumer_of(kafka, name) as consumer:
            while not messages or messages[-1].offset < end - 1:
                messages.append(await consumer.getone())
        return [Read(each.key, each.value, read_parent(each.headers)) for each in messages]

    before = await read_all()
    await asyncio.to_thread(wait_for_compaction, kafka, name)
    after = await read_all()
    check_reads(before, after)
    check_counts(captured_streams, name, before + after)


def remove_by_request(kafka: Kafka, topic: str) -> None:
    """Have the first ten messages deleted, with `delete_records`."""
    delete_before(kafka, topic, 10)


def remove_by_retention(kafka: Kafka, topic: str) -> None:
    """Set a retention, and wait until Kafka has deleted the first ten messages, which are as old as 1970."""
    set_config(kafka, topic, "retention.ms", "3600000")
    bare = bare_class("Consumer")(consumer_config(kafka, "bare"))
    from_start(bare, topic)
    place = bare.assignment()[0]
    until(lambda: bare.get_watermark_offsets(place, 30)[0] == 10, lambda: bare.poll(0.05), RETENTION_SECONDS)
    bare.close()


FOREVER = {"retention.ms": "-1"}
REMOVALS: dict[str, Callable[[Kafka, str], None]] = {
    "delete_records": remove_by_request,
    "retention": remove_by_retention,
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_group_whose_next_message_is_deleted_goes_on_at_the_first_that_is_left(
    cleaning_kafka: Kafka, way: str, captured_streams: Captured, removal: str
) -> None:
    kafka = cleaning_kafka
    name, group, got = kafka.topic(config=FOREVER), kafka.topic(prefix="group"), list[int]()
    put_messages(kafka, name, range(10), timestamp=1)

    def read_some(numbers: int) -> Any:
        consumer = make(way, kafka, "Consumer", **consumer_config(kafka, group))
        consumer.subscribe([name])
        got.extend(int(message.value()) for message in read(consumer, numbers))
        return consumer

    consumer = read_some(4)
    consumer.commit(asynchronous=False)
    consumer.close()
    REMOVALS[removal](kafka, name)
    put_messages(kafka, name, range(10, 15))
    consumer = read_some(5)
    assert committed_offsets(kafka, group) == recorded_commits(captured_streams, group) == {(name, 0): 4}
    consumer.commit(asynchronous=False)
    until(lambda: recorded_lag(group) == [group_lag(kafka, group, name)] == [0], lambda: consumer.poll(0.05))
    consumer.close()
    assert got == [*range(4), *range(10, 15)]
    assert [made.parent - 1 for made in captured_streams.consumed(name)] == got
    assert committed_offsets(kafka, group) == recorded_commits(captured_streams, group) == {(name, 0): 15}


@pytest.mark.parametrize("removal", REMOVALS)
async def test_aiokafkas_group_whose_next_record_is_deleted_goes_on_at_the_first_that_is_left(
    cleaning_kafka: Kafka, captured_streams: Captured, removal: str
) -> None:
    kafka, in_thread = cleaning_kafka, asyncio.to_thread
    name, group, got = await in_thread(kafka.topic, config=FOREVER), f"group-{removal}", list[int]()
    await in_thread(put_messages, kafka, name, range(10), timestamp=1)

    def make_consumer() -> AIOKafkaConsumer:
        return consumer_of(kafka, name, group, enable_auto_commit=False)

    async with asyncio.timeout(PATIENCE_SECONDS), make_consumer() as consumer:
        got += [int((await consumer.getone()).value or b"") for _ in range(4)]
        await consumer.commit()
    await in_thread(REMOVALS[removal], kafka, name)
    await in_thread(put_messages, kafka, name, range(10, 15))
    async with asyncio.timeout(PATIENCE_SECONDS), make_consumer() as consumer:
        got += [int((await consumer.getone()).value or b"") for _ in range(5)]
        assert await in_thread(committed_offsets, kafka, group) == {(name, 0): 4}
        assert recorded_commits(captured_streams, group) == {(name, 0): 4}
        await consumer.commit()
        assert recorded_lag(group) == [await in_thread(group_lag, kafka, group, name)] == [0]
    assert got == [*range(4), *range(10, 15)]
    assert [made.parent - 1 for made in captured_streams.consumed(name)] == got
    assert await in_thread(committed_offsets, kafka, group) == {(name, 0): 15}
    assert recorded_commits(captured_streams, group) == {(name, 0): 15}
