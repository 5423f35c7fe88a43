"""Services that await and services that block, on Kafka and RabbitMQ, each with another client: one pathway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel
from aiokafka import AIOKafkaProducer
from confluent_kafka import Consumer, Producer
from kombu.connection import Connection

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.confluent.clients import consumer_config, from_start, read

pytestmark = pytest.mark.usefixtures("tidy_kombu")
WIRE_SECONDS = 0.001
"""The wire carries milliseconds, rounded down (protocol §3)."""


def bill(kafka: Kafka, orders: str, invoices: str) -> None:
    """Read an order with confluent-kafka and send an invoice with it."""
    consumer: Any = asyncdsm.wrap(Consumer)(consumer_config(kafka, "billing"))
    producer = asyncdsm.wrap(Producer({"bootstrap.servers": kafka.bootstrap}))
    (order,) = read(from_start(consumer, orders), 1)
    producer.produce(invoices, order.value())
    assert producer.flush(60) == 0
    consumer.close()


def mail(kafka: Kafka, invoices: str, rabbitmq: RabbitMQ, mails: str) -> None:
    """Read an invoice with confluent-kafka and publish a mail with Kombu."""
    consumer: Any = asyncdsm.wrap(Consumer(consumer_config(kafka, "mailing")))
    (invoice,) = read(from_start(consumer, invoices), 1)
    with asyncdsm.wrap(Connection(rabbitmq.url)) as connection:
        connection.Producer().publish(invoice.value(), routing_key=mails, content_type="text/plain")
    consumer.close()


async def test_pathway_spans_four_clients_on_kafka_and_rabbitmq(
    kafka: Kafka,
    topic: Callable[..., str],
    rabbitmq: RabbitMQ,
    channel: AbstractChannel,
    captured_streams: Captured,
) -> None:
    orders, invoices = topic(prefix="orders"), topic(prefix="invoices")
    mails = await channel.declare_queue(f"mails-{orders}", auto_delete=True)
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        await producer.send_and_wait(orders, b"order")
    await asyncio.to_thread(bill, kafka, orders, invoices)
    await asyncio.to_thread(mail, kafka, invoices, rabbitmq, mails.name)
    async with mails.iterator(no_ack=True) as messages:
        async for message in messages:
            assert message.body == b"order"
            break
    made = captured_streams.checkpoints
    assert [each.topic for each in made] == [orders, orders, invoices, invoices, mails.name, mails.name]
    assert [each.tag("type") for each in made] == ["kafka"] * 4 + ["rabbitmq"] * 2
    assert [each.tag("group") for each in made] == [None, "billing", None, "mailing", None, None]
    assert made[0].parent == 0
    for before, after in pairwise(made):
        assert after.follows(before)
    edges = sum(each.edge_latency for each in made)
    assert made[-1].pathway_latency == pytest.approx(edges, abs=len(made) * WIRE_SECONDS)
    assert made[-1].pathway_latency == pytest.approx((made[-1].time_ns - made[0].time_ns) / 1e9, abs=WIRE_SECONDS)


def test_all_clients_can_be_instrumented_together() -> None:
    asyncdsm.instrument()
    try:
        assert asyncdsm.wrap(Producer) is not None
    finally:
        asyncdsm.uninstrument()
