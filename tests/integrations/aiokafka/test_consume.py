"""aiokafka on a real broker: the records that it receives."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic, cluster_tag, consumer_of


async def test_pathway_through_two_services_follows_each_hop(
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


async def test_header_of_another_producer_is_continued_or_ignored(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
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


async def test_consumer_without_a_group_has_no_group_tag(
    kafka: Kafka, topic: Topic, captured_streams: Captured, producer: AIOKafkaProducer
) -> None:
    name = topic()
    await producer.send_and_wait(name, b"v")
    async with consumer_of(kafka, name) as consumer:
        await consumer.getone()
    assert captured_streams.consumed(name)[0].tag("group") is None
    assert not [tags for tags in captured_streams.backlogs if "type:kafka_commit" in tags]
