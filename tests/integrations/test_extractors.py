"""Extractors find the ids of business transactions in the headers of messages and requests, client by client."""

# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from threading import Event
from typing import Any

import dramatiq
import httpx2
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from asyncdsm_asgi import DataStreamsMiddleware
from asyncdsm_taskiq import DataStreamsMiddleware as TaskiqMiddleware
from botocore.exceptions import ClientError
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from confluent_kafka import Consumer, Producer
from dramatiq.brokers.stub import StubBroker
from kafka import KafkaConsumer, KafkaProducer
from kombu.connection import Connection
from kombu.entity import Queue
from taskiq import InMemoryBroker

import asyncdsm
from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.asgi.apps import Handler, request
from tests.integrations.botocore.clients import wrapped_client
from tests.integrations.confluent.clients import consumer_config, from_start, read
from tests.integrations.kombu.clients import fresh, take_message

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
        take_message(queue, no_ack=True)
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


# Messages of SQS have attributes, tasks of Celery headers, and tasks of taskiq labels.

ORDER = {"Order-Id": {"DataType": "String", "StringValue": "4711"}}
ON_SQS = [("SQS_PRODUCE_ATTRIBUTES", "4711"), ("SQS_CONSUME_ATTRIBUTES", "4711")]


@pytest.mark.parametrize("in_batch", [False, True])
def test_sqs_finds_the_id_of_a_message(ministack: Aws, extracted: Extracted, in_batch: bool) -> None:
    sqs, queue = wrapped_client(ministack, "sqs"), ministack.queue()
    message: Any = {"MessageBody": "order", "MessageAttributes": ORDER}
    if in_batch:
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "1", **message}])
    else:
        sqs.send_message(QueueUrl=queue, **message)
    answer = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["Order-Id"], WaitTimeSeconds=5)
    assert len(answer["Messages"]) == 1
    assert extracted() == ON_SQS


def test_sqs_finds_no_id_that_the_program_does_not_ask_for(ministack: Aws, extracted: Extracted) -> None:
    sqs, queue = wrapped_client(ministack, "sqs"), ministack.queue()
    sqs.send_message(QueueUrl=queue, MessageBody="order", MessageAttributes=ORDER)
    assert len(sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]) == 1
    assert extracted() == ON_SQS[:1]


def test_sqs_finds_no_id_of_a_message_that_is_refused(ministack: Aws, extracted: Extracted) -> None:
    sqs = wrapped_client(ministack, "sqs")
    with pytest.raises(ClientError):
        sqs.send_message(QueueUrl=f"{ministack.queue()}-gone", MessageBody="order", MessageAttributes=ORDER)
    assert extracted() == []


def test_lambda_finds_the_id_of_a_message(extracted: Extracted) -> None:
    attribute = {"stringValue": "4711", "dataType": "String"}
    arn = "arn:aws:sqs:us-east-1:1:orders"
    record = {"eventSource": "aws:sqs", "eventSourceARN": arn, "messageAttributes": {"Order-Id": attribute}}
    asyncdsm.consume_lambda_event({"Records": [record]})
    assert extracted() == ON_SQS[1:]


@pytest.mark.usefixtures("tidy_kombu")
def test_celery_finds_the_id_of_a_task(extracted: Extracted, caplog: pytest.LogCaptureFixture) -> None:
    queue, done = fresh(), Event()
    app: Any = Celery(queue, broker="memory://", set_as_current=False)
    app.conf.update(task_default_queue=queue, worker_redirect_stdouts=False, worker_enable_remote_control=False)
    asyncdsm.wrap(app)

    @app.task(shared=False, ignore_result=True, name=f"order {queue}")
    def order() -> None:
        done.set()

    def leave_logging_alone(**_: Any) -> None:
        """A worker does not set up logging if this signal has a receiver."""

    signals.setup_logging.connect(leave_logging_alone)
    worker: Any = start_worker(app, pool="solo", perform_ping_check=False)
    with worker:
        order.apply_async(headers={"Order-Id": "4711"})
        assert done.wait(60)
    app.close()
    on_celery = [("CELERY_PRODUCE_HEADERS", "4711"), ("CELERY_CONSUME_HEADERS", "4711")]
    assert [each for each in extracted() if each not in ON_RABBITMQ] == on_celery


def test_dramatiq_finds_the_id_of_a_message(extracted: Extracted) -> None:
    broker: Any = asyncdsm.wrap(StubBroker())

    @dramatiq.actor(broker=broker)
    def order() -> None:
        """Do nothing."""

    worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=1)
    worker.start()
    options: dict[str, Any] = {"Order-Id": 4711, "order-id": "0"}
    order.send_with_options(**options)
    broker.join("default", timeout=60_000)
    worker.stop()
    broker.close()
    assert extracted() == [("DRAMATIQ_PRODUCE_OPTIONS", "4711"), ("DRAMATIQ_CONSUME_OPTIONS", "4711")]


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # kafka-python leaves them to the collector
def test_kafka_python_finds_the_id_of_a_record(kafka: Kafka, topic: Callable[..., str], extracted: Extracted) -> None:
    name = topic()
    with (
        closing(asyncdsm.wrap(KafkaProducer(bootstrap_servers=kafka.bootstrap))) as producer,
        closing(
            asyncdsm.wrap(KafkaConsumer(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"))
        ) as consumer,
    ):
        producer.send(name, b"order", headers=[("Order-Id", b"4711"), ("order-id", b"0")]).get(60)
        next(consumer)
    assert extracted() == ON_KAFKA


async def test_taskiq_finds_the_id_of_a_task(extracted: Extracted) -> None:
    broker = InMemoryBroker(await_inplace=True).with_middlewares(TaskiqMiddleware())

    @broker.task
    async def order() -> None:
        """Do nothing."""

    await broker.startup()
    await order.kicker().with_labels(**{"Order-Id": "4711"}).kiq()
    await broker.wait_all()
    await broker.shutdown()
    assert sorted(extracted()) == [("TASKIQ_CONSUME_LABELS", "4711"), ("TASKIQ_PRODUCE_LABELS", "4711")]
