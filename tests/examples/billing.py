"""Orders for an example that makes an invoice of each, and which invoice follows which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import aio_pika
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from asyncdsm import Pathway
from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.examples.programs import COUNT, make_headers, read_topology

Invoices = dict[int, int]
"""By the number of an order, the hash of the pathway that its invoice carries."""


async def bill_on_kafka(kafka: Kafka) -> Invoices:
    """Send orders, and return their invoices."""
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        AIOKafkaConsumer("invoices", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer,
    ):
        for order in range(COUNT):
            headers = [(name, value.encode()) for name, value in make_headers(order).items()]
            await producer.send_and_wait("orders", str(order).encode(), headers=headers)
        invoices = [await consumer.getone() for _ in range(COUNT)]
    return {int(invoice.value or b""): _read_hash(dict(invoice.headers)) for invoice in invoices}


async def bill_on_rabbitmq(rabbitmq: RabbitMQ) -> Invoices:
    """Send orders, and return their invoices."""
    invoices: Invoices = {}
    async with await aio_pika.connect(rabbitmq.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("orders", durable=True)
        queue = await channel.declare_queue("invoices", durable=True)
        for order in range(COUNT):
            message = aio_pika.Message(str(order).encode(), headers=dict(make_headers(order)))
            await channel.default_exchange.publish(message, "orders")
        async with queue.iterator(no_ack=True) as messages:
            async for invoice in messages:
                invoices[int(invoice.body)] = _read_hash(invoice.headers)
                if len(invoices) == COUNT:
                    break
    return invoices


def _read_hash(headers: Mapping[str, Any]) -> int:
    pathway = Pathway.decode_base64(headers[HEADER])
    assert pathway is not None
    return pathway.hash


def check_invoices(agent: RunningAgent, invoices: Invoices, group: str | None) -> None:
    """Check that the agent counted every message, and that each invoice follows its own order."""
    shown = read_topology(agent)
    counts = Counter[tuple[str, str, str | None]]()
    for edge in shown["edges"]:  # confluent-kafka's first message has one more, since the cluster's id is not known yet
        counts[edge["queue"], edge["direction"], edge["group"]] += round(edge["count"])
    assert counts == {("orders", "in", group): COUNT, ("invoices", "out", None): COUNT}
    parents = {int(point["hash"]): int(point["parent"]) for point in shown["pathways"]}
    assert {order: parents[parents[made]] - 1 for order, made in invoices.items()} == {n: n for n in range(COUNT)}
