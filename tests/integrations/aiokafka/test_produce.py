"""aiokafka on a real broker: the records that it sends, one by one and in batches."""

from __future__ import annotations

import json

import pytest
from aiokafka import AIOKafkaProducer

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic, backlog_tags, bare_headers, consumer_of, pathway_in


async def test_headers_given_in_any_way_are_sent_with_the_context(
    kafka: Kafka, topic: Topic, producer: AIOKafkaProducer, captured_streams: Captured
) -> None:
    name, given = topic(), [("a", b"\xff\x00"), ("none", None), ("a", b"again")]
    kept = list(given)
    await producer.send_and_wait(name, b"v")
    await producer.send_and_wait(name, b"v", headers=None)
    await producer.send_and_wait(name, b"v", headers=given)
    await producer.send_and_wait(name, b"v", b"k", 0, None, given)
    await (await producer.send(name, b"v", headers=given))
    assert given == kept
    on_broker = await bare_headers(kafka, name, 5)
    assert [headers[:-1] for headers in on_broker] == [[], [], given, given, given]
    assert [pathway_in(headers).hash for headers in on_broker] == [
        made.hash for made in captured_streams.produced(name)
    ]


async def test_forwarded_context_is_replaced(kafka: Kafka, topic: Topic, producer: AIOKafkaProducer) -> None:
    name = topic()
    await producer.send_and_wait(name, b"v", headers=[(HEADER, b"stale"), ("x", b"y"), (HEADER, b"stale")])
    (headers,) = await bare_headers(kafka, name, 1)
    assert [key for key, _ in headers] == ["x", HEADER]
    assert pathway_in(headers)


async def test_payload_sizes_are_those_on_the_wire(
    kafka: Kafka, topic: Topic, captured_streams: Captured, producer: AIOKafkaProducer
) -> None:
    name, context = topic(), len(HEADER) + 28
    async with asyncdsm.wrap(
        AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap,
            value_serializer=lambda value: json.dumps(value).encode(),
            key_serializer=str.encode,
        )
    ) as serializing:
        await serializing.send_and_wait(name, {"order": 1}, "key", headers=[("h", b"123")])
        await serializing.send_and_wait(name, None, "tombstone")
    await producer.send_and_wait(name, None, b"tombstone")
    async with consumer_of(kafka, name) as consumer:
        for _ in range(3):
            await consumer.getone()
    sizes = [len('{"order": 1}') + 3 + 4 + context, len("null") + 9 + context, 9 + context]
    assert [made.size for made in captured_streams.produced(name)] == sizes
    assert [made.size for made in captured_streams.consumed(name)] == sizes


async def test_records_of_a_built_batch_have_their_own_parents(
    kafka: Kafka, topic: Topic, captured_streams: Captured, producer: AIOKafkaProducer
) -> None:
    source, name = topic(), topic()
    for number in range(3):
        await producer.send_and_wait(source, str(number).encode())
    batch = producer.create_batch()
    async with consumer_of(kafka, source) as consumer:
        for _ in range(3):
            record = await consumer.getone()
            metadata = batch.append(key=None, value=record.value, timestamp=None, headers=[("n", record.value)])
            assert metadata is not None
    bare = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    assert batch.record_count() == 3
    await (await producer.send_batch(batch, name, partition=0))
    await bare.stop()
    on_broker = await bare_headers(kafka, name, 3)
    parents = [made.hash for made in captured_streams.consumed(source)]
    produced = captured_streams.produced(name)
    assert [made.parent for made in produced] == parents
    assert [pathway_in(headers).hash for headers in on_broker] == [made.hash for made in produced]
    assert [headers[0] for headers in on_broker] == [("n", str(number).encode()) for number in range(3)]
    assert captured_streams.backlogs[backlog_tags("kafka_produce", produced[0].tag("kafka_cluster_id"), name)] == 2


async def test_full_batch_stays_within_its_size_limit(kafka: Kafka, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_batch_size=2000)) as producer:
        batch, count = producer.create_batch(), 0
        while batch.append(key=None, value=b"x" * 100, timestamp=None) is not None:
            count += 1
        assert batch.size() <= 2000
        await (await producer.send_batch(batch, name, partition=0))
    assert len(captured_streams.produced(name)) == count == len(await bare_headers(kafka, name, count))


async def test_record_that_was_rejected_is_not_counted(kafka: Kafka, topic: Topic, captured_streams: Captured) -> None:
    producer = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=1000))
    async with producer:
        name = topic()
        with pytest.raises(Exception, match="larger than"):
            await producer.send_and_wait(name, b"x" * 2000)
        nearly = 1000 - 61 - 21 - 10
        await producer.send_and_wait(name, b"x" * nearly)
        assert captured_streams.stats().not_propagated == 1
    with pytest.raises(Exception, match="ProducerClosed"):
        await producer.send_and_wait(name, b"v")
    assert len(captured_streams.produced(name)) == 1
    assert (await bare_headers(kafka, name, 1)) == [[]]
