"""From real brokers to the map: what messages say reaches an agent, and its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aio_pika
import httpx2
import pytest
from aio_pika import Message
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.test_edge_facts import take


async def handle_twice(rabbitmq: RabbitMQ, queue_name: str) -> None:
    """Send a message to RabbitMQ, refuse it once, and take it again."""
    async with asyncdsm.wrap(await aio_pika.connect(rabbitmq.url)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(queue_name, auto_delete=True)
        await channel.default_exchange.publish(Message(b"order"), queue.name)
        await (await take(queue)).nack(requeue=True)
        await (await take(queue)).ack()


async def handle_batch(kafka: Kafka, topic: str) -> None:
    """Send three messages to Kafka, and work through them as one batch."""
    options: dict[str, Any] = {"bootstrap_servers": kafka.bootstrap}
    async with asyncdsm.wrap(AIOKafkaProducer(**options)) as producer:
        for _ in range(3):
            await producer.send_and_wait(topic, b"order", partition=0)
    async with asyncdsm.wrap(AIOKafkaConsumer(topic, auto_offset_reset="earliest", **options)) as consumer:
        batches = dict[Any, list[Any]]()
        while not batches:
            batches = await consumer.getmany(timeout_ms=1000)
        for records in batches.values():
            for _ in records:
                await asyncio.sleep(0.02)


@pytest.fixture
def store() -> SQLiteStore:
    """Keep what the agent takes, in memory."""
    return SQLiteStore()


async def test_map_shows_what_messages_of_rabbitmq_and_kafka_say(
    rabbitmq: RabbitMQ, kafka: Kafka, topic: Callable[..., str], name: Callable[[], str], store: SQLiteStore
) -> None:
    queue, orders = name(), topic()
    async with running_agent(store=store) as agent:
        async with DataStreams(Settings(service="billing", agent_url=agent.url)) as streams:
            await handle_twice(rabbitmq, queue)
            await handle_batch(kafka, orders)
        assert (streams.stats.dropped, streams.stats.facts_dropped) == (0, 0)
        async with httpx2.AsyncClient(base_url=agent.url) as client:
            edges = (await client.get("/api/topology")).json()["edges"]
    facts = {edge["queue"]: edge["facts"] for edge in edges if edge["direction"] == "in"}
    assert (facts[queue]["redelivered"], facts[queue]["redelivered_share"]) == (1, 0.5)
    assert facts[orders]["waits"] == 3
    assert facts[orders]["longest_wait"] >= 0.04
    assert all(edge["facts"] is None for edge in edges if edge["direction"] == "out")
