"""Extractors find the ids of business transactions in the headers of messages and requests, client by client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from asyncdsm_asgi import DataStreamsMiddleware
from confluent_kafka import Consumer, Producer
from kombu.connection import Connection
from kombu.entity import Queue

import asyncdsm
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.asgi.apps import Handler, request
from tests.integrations.confluent.clients import consumer_config, from_start, read

Extracted = Callable[[], list[tuple[str, str]]]
ON_KAFKA = [("KAFKA_PRODUCE_HEADERS", "4711"), ("KAFKA_CONSUME_HEADERS", "4711")]
ON_RABBITMQ = [("RABBITMQ_PRODUCE_HEADERS", "4711"), ("RABBITMQ_CONSUME_HEADERS", "4711")]


@asynccontextmanager
async def reading(kafka: Kafka, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    async with asyncdsm.wrap(consumer) as wrapped:
        yield wrapped


async def test_aiokafka_finds_the_id_of_a_record(kafka: Kafka, topic: Callable[..., str], extracted: Extracted) -> None:
    name = topic()
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        await producer.send_and_wait(name, b"order", headers=[("Order-Id", b"4711"), ("order-id", b"0")])
    async with reading(kafka, name) as consumer:
        await consumer.getone()
    assert extracted() == ON_KAFKA


async def test_aiokafka_finds_the_ids_of_a_batch(kafka: Kafka, topic: Callable[..., str], extracted: Extracted) -> None:
    name = topic()
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        batch = producer.create_batch()
        batch.append(key=None, value=b"order", timestamp=None, headers=[("Order-Id", b"4711")])
        await (await producer.send_batch(batch, name, partition=0))
    async with reading(kafka, name) as consumer:
        while not await consumer.getmany(timeout_ms=100):
            pass
    assert extracted() == ON_KAFKA


@pytest.mark.parametrize("headers", [[("Order-Id", b"4711")], {"Order-Id": "4711"}], ids=["list", "dict"])
def test_confluent_kafka_finds_the_id_of_a_message(
    kafka: Kafka, topic: Callable[..., str], extracted: Extracted, headers: Any
) -> None:
    name = topic()
    producer = asyncdsm.wrap(Producer)({"bootstrap.servers": kafka.bootstrap})
    producer.produce(name, b"order", headers=headers)
    producer.flush()
    consumer = asyncdsm.wrap(Consumer)(consumer_config(kafka))
    read(from_start(consumer, name), 1)
    consumer.close()
    assert extracted() == ON_KAFKA


@pytest.mark.parametrize("value", ["4711", 4711], ids=repr)
async def test_aio_pika_finds_the_id_of_a_message(channel: AbstractChannel, extracted: Extracted, value: Any) -> None:
    queue = await channel.declare_queue("extracted", auto_delete=True)
    await channel.default_exchange.publish(Message(b"order", headers={"Order-Id": value}), queue.name)
    assert await queue.get(no_ack=True) is not None
    assert extracted() == ON_RABBITMQ


def test_kombu_finds_the_id_of_a_message(rabbitmq: RabbitMQ, name: Callable[[], str], extracted: Extracted) -> None:
    with asyncdsm.wrap(Connection(rabbitmq.url)) as connection:
        queue = Queue(name(), auto_delete=True, channel=connection.channel())
        queue.declare()
        connection.Producer().publish("order", routing_key=queue.name, headers={"Order-Id": "4711"})
        assert queue.get(no_ack=True) is not None
    assert extracted() == ON_RABBITMQ


@pytest.mark.parametrize("pushed", [True, False])
async def test_asgi_finds_the_id_of_a_request_whatever_its_case(extracted: Extracted, pushed: bool) -> None:
    await request(DataStreamsMiddleware(Handler(produces=False), pushed=pushed), {"ORDER-id": "4711", "other": "1"})
    assert extracted() == [("HTTP_IN_HEADERS", "4711")]


async def test_httpx_finds_the_id_of_a_request_that_was_answered(extracted: Extracted) -> None:
    transport = httpx2.ASGITransport(Handler(produces=False))
    async with asyncdsm.wrap(httpx2.AsyncClient(transport=transport, base_url="http://shop")) as client:
        await client.get("/", headers={"order-ID": "4711"})
    assert extracted() == [("HTTP_OUT_HEADERS", "4711")]
