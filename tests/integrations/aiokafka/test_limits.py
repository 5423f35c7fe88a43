"""aiokafka's records at the limits of Apache Kafka: its largest sizes, many and odd headers, compressed batches.

The limit of a topic, `max.message.bytes`, is not known to a client. If a context pushes a record over it, that record
fails, as one that is too large does; no other one to that topic fails because of its context.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.integration.formats.kafka import HEADER_RESERVE
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic, bare_headers, consumer_of, pathway_in
from tests.integrations.kafka.broker_side import context_header
from tests.integrations.kafka.test_limits import (
    CONTEXT_BYTES,
    COUNT,
    HUGE,
    LIMIT,
    ODD_HEADERS,
    SMALL,
    largest_bare,
)

SECONDS = 60.0


def producer_of(kafka: Kafka, **options: Any) -> AIOKafkaProducer:
    """Return a wrapped producer."""
    return asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, **options))


async def deliver(producer: AIOKafkaProducer, topic: str, size: int, **options: Any) -> bool:
    """Send a record of this size, and say whether the broker took it. It may only be too large."""
    try:
        await producer.send_and_wait(topic, b"x" * size, **options)
    except MessageSizeTooLargeError:
        return False
    return True


async def deliver_built(producer: AIOKafkaProducer, topic: str, size: int) -> bool:
    """Send a batch that is built here, with one record, and say whether the broker took it."""
    batch = producer.create_batch()
    assert batch.append(key=None, value=b"x" * size, timestamp=None) is not None
    try:
        await (await producer.send_batch(batch, topic, partition=0))
    except MessageSizeTooLargeError:
        return False
    return True


async def find_largest(kafka: Kafka, topic: Topic) -> int:
    """Return the size of the largest record that a topic takes without a header."""
    return await asyncio.to_thread(largest_bare, kafka.bootstrap, topic(**SMALL))


async def count_contexts(kafka: Kafka, topic: str, count: int) -> list[int]:
    """Return how many contexts each of the first records on the broker has."""
    return [[key for key, _ in headers].count(HEADER) for headers in await bare_headers(kafka, topic, count)]


@pytest.mark.parametrize("send", [deliver, deliver_built])
async def test_context_costs_a_topic_one_record_at_most(
    kafka: Kafka, topic: Topic, captured_streams: Captured, caplog: pytest.LogCaptureFixture, send: Any
) -> None:
    largest, name, other = await find_largest(kafka, topic), topic(**SMALL), topic(**SMALL)
    async with asyncio.timeout(SECONDS), producer_of(kafka) as producer:
        assert not await send(producer, name, largest)
        for size in range(largest, largest - 2 * HEADER_RESERVE, -1):
            assert await send(producer, name, size)
        assert not await send(producer, name, largest + 1)
        assert await send(producer, name, 10)
        assert await send(producer, other, largest - CONTEXT_BYTES - 10)  # another topic has a limit of its own
    sent = await count_contexts(kafka, name, 2 * HEADER_RESERVE + 1)
    assert sent == sorted(sent)
    assert CONTEXT_BYTES < sent.count(0) < 2 * HEADER_RESERVE
    assert await count_contexts(kafka, other, 1) == [1]
    assert captured_streams.stats().not_propagated == sent.count(0) + 1
    assert len([record for record in caplog.records if f"topic {name}" in record.getMessage()]) == 1


@pytest.mark.parametrize("headers", [0, 2000])
async def test_record_has_room_where_the_client_has_the_topics_limit(
    kafka: Kafka, topic: Topic, captured_streams: Captured, headers: int
) -> None:
    """The largest record that the client lets pass, and those that are a little smaller."""
    limit, given = 100_000, list[tuple[str, bytes | None]]([("h", b"v")] * headers)
    name = topic(config={"max.message.bytes": str(limit)})
    largest = 2 * limit - DefaultRecordBatchBuilder.estimate_size_in_bytes(None, b"x" * limit, given)
    async with asyncio.timeout(SECONDS), producer_of(kafka, max_request_size=limit) as producer:
        assert not await deliver(producer, name, largest + 1, headers=given)
        for size in range(largest, largest - HEADER_RESERVE, -1):
            assert await deliver(producer, name, size, headers=given)
    assert len(captured_streams.produced(name)) == HEADER_RESERVE
    assert captured_streams.stats().not_propagated == (await count_contexts(kafka, name, HEADER_RESERVE)).count(0) > 0


async def test_forwarded_context_makes_room_for_the_new_one(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name, forwarded = topic(**SMALL), [("a", b"1"), context_header(41)]
    size = await find_largest(kafka, topic) - 70
    async with producer_of(kafka, max_request_size=LIMIT) as producer:
        assert await deliver(producer, name, size, headers=forwarded)
    ((first, *rest),) = await bare_headers(kafka, name, 1)
    assert first == ("a", b"1")
    assert [pathway_in(rest).hash] == [each.hash for each in captured_streams.produced(name)]


async def test_small_records_rejected_with_a_large_one_keep_their_contexts(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name = topic(**SMALL)
    async with producer_of(kafka, linger_ms=500, max_batch_size=4 * LIMIT) as producer:
        sent = await asyncio.gather(*[deliver(producer, name, size) for size in (10, 2 * LIMIT, 10)])
        assert sent == [False] * 3
        assert await deliver(producer, name, 10)
    assert await count_contexts(kafka, name, 1) == [1]
    assert captured_streams.stats().not_propagated == 0


@pytest.mark.parametrize("kind", ODD_HEADERS)
async def test_headers_of_any_kind_pass_and_count(
    kafka: Kafka, topic: Topic, captured_streams: Captured, kind: str
) -> None:
    name, headers = topic(config={"max.message.bytes": str(HUGE)}), ODD_HEADERS[kind]
    async with (
        asyncio.timeout(SECONDS),
        producer_of(kafka, max_request_size=HUGE) as producer,
        consumer_of(kafka, name) as consumer,
    ):
        assert await deliver(producer, name, 5, key="ä".encode(), headers=list(headers))
        message = await consumer.getone()
    (produced,), (consumed,) = captured_streams.produced(name), captured_streams.consumed(name)
    *rest, context = message.headers
    assert rest == headers
    assert pathway_in([context]).hash == produced.hash
    assert consumed.follows(produced)
    size = 5 + len("ä".encode()) + sum(len(key.encode()) + len(value or b"") for key, value in headers)
    assert produced.size == consumed.size == size + CONTEXT_BYTES


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_batch_of_ten_thousand_counts_each_record(
    kafka: Kafka, topic: Topic, captured_streams: Captured, codec: str
) -> None:
    name, got = topic(), list[Any]()
    async with asyncio.timeout(SECONDS), producer_of(kafka, compression_type=codec, max_batch_size=HUGE) as producer:
        batch = producer.create_batch()
        for number in range(COUNT):
            assert batch.append(key=None, value=b"%d" % number, timestamp=None) is not None
        await (await producer.send_batch(batch, name, partition=0))
    async with asyncio.timeout(SECONDS), consumer_of(kafka, name) as consumer:
        while len(got) < COUNT:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                got += [record.value for record in records]
    assert got == [b"%d" % number for number in range(COUNT)]
    produced, consumed = captured_streams.produced(name), captured_streams.consumed(name)
    assert len(produced) == len(consumed) == COUNT
    assert {made.parent for made in consumed} == {made.hash for made in produced}
    assert [made.size for made in consumed] == [made.size for made in produced]
    assert [offset for tags, offset in captured_streams.backlogs.items() if "type:kafka_produce" in tags] == [COUNT - 1]
