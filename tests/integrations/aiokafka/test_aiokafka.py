"""aiokafka on a real broker: what it sends, receives, commits, and how far behind it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiokafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.lag import current_lags
from asyncdsm.core.pathway import HEADER, LEGACY_HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka

Topic = Callable[..., str]


@pytest.fixture
async def producer(kafka: Kafka, captured_streams: Captured) -> Any:
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        yield producer


def consumer_of(kafka: Kafka, topic: str, group: str | None = None, **options: Any) -> AIOKafkaConsumer:
    return asyncdsm.wrap(
        AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka.bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            **(kafka.group if group else {}),
            **options,
        )
    )


async def bare_headers(kafka: Kafka, topic: str, count: int) -> list[list[tuple[str, bytes]]]:
    """Read what really stands on the broker, with a client that is not wrapped."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as bare:
        return [list((await bare.getone()).headers) for _ in range(count)]


def pathway_in(headers: list[tuple[str, bytes]]) -> Pathway:
    (ours,) = [value for name, value in headers if name == HEADER]
    pathway = Pathway.decode_base64(ours)
    assert pathway is not None
    return pathway


async def test_every_way_to_give_headers(
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


async def test_ours_replaces_a_forwarded_one(kafka: Kafka, topic: Topic, producer: AIOKafkaProducer) -> None:
    name = topic()
    await producer.send_and_wait(name, b"v", headers=[(HEADER, b"stale"), ("x", b"y"), (HEADER, b"stale")])
    (headers,) = await bare_headers(kafka, name, 1)
    assert [key for key, _ in headers] == ["x", HEADER]
    assert pathway_in(headers)


async def test_sizes_are_those_on_the_wire(
    kafka: Kafka, topic: Topic, captured_streams: Captured, producer: AIOKafkaProducer
) -> None:
    name, ours = topic(), len(HEADER) + 28
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
    sizes = [len('{"order": 1}') + 3 + 4 + ours, len("null") + 9 + ours, 9 + ours]
    assert [made.size for made in captured_streams.produced(name)] == sizes
    assert [made.size for made in captured_streams.consumed(name)] == sizes


async def test_a_pathway_through_two_services(
    kafka: Kafka, topic: Topic, captured_streams: Captured, producer: AIOKafkaProducer
) -> None:
    orders, invoices = topic(prefix="orders"), topic(prefix="invoices")
    await producer.send_and_wait(orders, b"v")
    async with consumer_of(kafka, orders, group="billing") as consumer:
        async for _ in consumer:
            await producer.send_and_wait(invoices, b"v")
            break
    async with consumer_of(kafka, invoices) as consumer:
        await consumer.getone()
    sent, read, invoiced, shipped = captured_streams.checkpoints
    assert read.follows(sent)
    assert invoiced.follows(read)
    assert shipped.follows(invoiced)
    assert shipped.pathway_latency >= shipped.edge_latency
    cluster = sent.tag("kafka_cluster_id")
    place = cluster_tag(cluster)
    assert read.tags == ("direction:in", "group:billing", *place, f"topic:{orders}", "type:kafka")
    assert shipped.tags == ("direction:in", *place, f"topic:{invoices}", "type:kafka")


async def test_headers_of_others(kafka: Kafka, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    from time import time_ns

    known = Pathway(99, time_ns() - 10**9, time_ns() - 10**9)
    variants: list[tuple[list[tuple[str, bytes | None]], int]] = [
        ([(HEADER, known.encode_base64().encode())], 99),
        ([(LEGACY_HEADER, known.encode())], 99),
        ([(LEGACY_HEADER, known.encode_base64().encode())], 99),
        ([(LEGACY_HEADER, Pathway(1, 1, 1).encode()), (HEADER, known.encode_base64().encode())], 99),
        ([(HEADER, None)], 0),
        ([(HEADER, b"\xff\xfe")], 0),
        ([(HEADER, b"")], 0),
        ([(LEGACY_HEADER, b"junk")], 0),
        ([], 0),
    ]
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as bare:
        for headers, _ in variants:
            await bare.send_and_wait(name, b"v", headers=headers)
    async with consumer_of(kafka, name) as consumer:
        records = [await consumer.getone() for _ in variants]
    assert [list(record.headers) for record in records] == [headers for headers, _ in variants]
    assert [made.parent for made in captured_streams.consumed(name)] == [parent for _, parent in variants]
    fresh = captured_streams.consumed(name)[-1]
    assert 0 < fresh.edge_latency < 60  # from the broker's timestamp of the record


async def test_batches_that_the_caller_builds(
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
    assert captured_streams.backlogs[_tags("kafka_produce", produced[0].tag("kafka_cluster_id"), name)] == 2


async def test_a_batch_is_full_where_it_says_so(kafka: Kafka, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_batch_size=2000)) as producer:
        batch, count = producer.create_batch(), 0
        while batch.append(key=None, value=b"x" * 100, timestamp=None) is not None:
            count += 1
        assert batch.size() <= 2000
        await (await producer.send_batch(batch, name, partition=0))
    assert len(captured_streams.produced(name)) == count == len(await bare_headers(kafka, name, count))


def _tags(kind: str, cluster: str | None, topic: str, group: str | None = None) -> tuple[str, ...]:
    named = ["partition:0", f"topic:{topic}", f"type:{kind}", *cluster_tag(cluster)]
    return tuple(sorted([*named, f"consumer_group:{group}"] if group else named))


def cluster_tag(cluster: str | None) -> list[str]:
    """Return the cluster's tag: aiokafka learns the id since 0.13."""
    knows = tuple(map(int, aiokafka.__version__.split(".")[:2])) >= (0, 13)
    assert (cluster is not None) == knows
    return [f"kafka_cluster_id:{cluster}"] if cluster else []


async def test_acknowledged_and_committed_offsets(
    kafka: Kafka, topic: Topic, captured_streams: Captured, producer: AIOKafkaProducer
) -> None:
    name = topic()
    await asyncio.gather(*[producer.send_and_wait(name, b"v", partition=0) for _ in range(50)])
    cluster = captured_streams.produced(name)[0].tag("kafka_cluster_id")
    backlogs, commits = captured_streams.backlogs, _tags("kafka_commit", cluster, name, "g")
    assert backlogs[_tags("kafka_produce", cluster, name)] == 49
    async with consumer_of(kafka, name, group="g", enable_auto_commit=False) as consumer:
        for _ in range(10):
            await consumer.getone()
        assert commits not in backlogs
        await consumer.commit({TopicPartition(name, 0): 7})
        assert backlogs[commits] == 7
        await consumer.commit()
        assert backlogs[commits] == 10
        (lag,) = [lag for lag in current_lags() if lag.topic == name]
        assert (lag.group, lag.topic, lag.partition, lag.behind, lag.unit) == ("g", name, 0, 40, "messages")
    async with consumer_of(kafka, name, group="g", auto_commit_interval_ms=100) as consumer:
        for _ in range(20):
            await consumer.getone()
        async with asyncio.timeout(10):
            while backlogs[commits] != 30:
                await asyncio.sleep(0.02)
        await consumer.getone()
    assert backlogs[commits] == 31  # the commit at shutdown


async def test_a_group_is_not_needed(
    kafka: Kafka, topic: Topic, captured_streams: Captured, producer: AIOKafkaProducer
) -> None:
    name = topic()
    await producer.send_and_wait(name, b"v")
    async with consumer_of(kafka, name) as consumer:
        await consumer.getone()
    assert captured_streams.consumed(name)[0].tag("group") is None
    assert not [tags for tags in captured_streams.backlogs if "type:kafka_commit" in tags]


@pytest.mark.parametrize("commits", [True, False])
async def test_offsets_in_a_transaction(kafka: Kafka, topic: Topic, captured_streams: Captured, commits: bool) -> None:
    source, name = topic(), topic()
    async with asyncdsm.wrap(
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"t-{name}")
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(name, b"v")
        await producer.send_offsets_to_transaction({TopicPartition(source, 0): 5}, "g")
        assert not [tags for tags in captured_streams.backlogs if "type:kafka_commit" in tags]
        await (producer.commit_transaction() if commits else producer.abort_transaction())
    cluster = captured_streams.produced(name)[0].tag("kafka_cluster_id")
    assert captured_streams.backlogs.get(_tags("kafka_commit", cluster, source, "g")) == (5 if commits else None)


async def test_what_was_not_sent_is_not_counted(kafka: Kafka, topic: Topic, captured_streams: Captured) -> None:
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
