"""From Kafka through a service to RabbitMQ and the next service: one pathway."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractChannel
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka

WIRE_SECONDS = 0.001
"""The wire carries milliseconds, rounded down (protocol §3)."""


async def test_pathway_spans_kafka_and_rabbitmq(
    kafka: Kafka,
    topic: Callable[..., str],
    channel: AbstractChannel,
    name: Callable[[], str],
    captured_streams: Captured,
) -> None:
    orders = topic(prefix="orders")
    exchange = await channel.declare_exchange(name(), ExchangeType.TOPIC)
    invoices = await channel.declare_queue(name())
    await invoices.bind(exchange, "invoice.#")
    async with (
        asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer,
        asyncdsm.wrap(
            AIOKafkaConsumer(orders, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
        ) as consumer,
    ):
        await producer.send_and_wait(orders, b"order")
        async for order in consumer:
            await exchange.publish(Message(order.value or b""), "invoice.new")
            break
    async with invoices.iterator(no_ack=True) as messages:
        async for _ in messages:
            break
    ordered, read, invoiced, received = captured_streams.checkpoints
    assert read.follows(ordered)
    assert invoiced.follows(read)
    assert received.follows(invoiced)
    assert [made.tag("type") for made in captured_streams.checkpoints] == ["kafka", "kafka", "rabbitmq", "rabbitmq"]
    edges = sum(made.edge_latency for made in captured_streams.checkpoints)
    assert received.pathway_latency == pytest.approx(edges, abs=2 * WIRE_SECONDS)
    assert received.pathway_latency == pytest.approx((received.time_ns - ordered.time_ns) / 1e9, abs=WIRE_SECONDS)
