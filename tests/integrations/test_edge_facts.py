"""What messages say besides their latency, client by client: redelivered, dead-lettered, their wait in a batch."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from threading import Event
from typing import Any

import boto3.session
import confluent_kafka
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aiokafka import AIOKafkaConsumer
from asyncdsm_faststream import DataStreamsMiddleware as FastStreamMiddleware
from asyncdsm_taskiq import DataStreamsMiddleware
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from faststream.rabbit import RabbitBroker
from faststream.rabbit.annotations import RabbitMessage
from kombu.connection import Connection
from kombu.entity import Queue
from taskiq import InMemoryBroker, SimpleRetryMiddleware

import asyncdsm
from asyncdsm.core.edge_facts import EdgeFacts
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.botocore.clients import wrapped_client
from tests.integrations.confluent.clients import consumer_config, from_start
from tests.integrations.faststream.brokers import BrokerSetup, Seen, run_broker
from tests.integrations.kombu.clients import fresh, take_message
from tests.integrations.pipelines.test_batches import (
    PATIENCE_SECONDS,
    consume,
    fill_queue,
    fill_topic,
    followed_session,
    getmany,
)


def facts_of(captured: Captured) -> dict[str, EdgeFacts]:
    """Return the facts by topic, all of them of consumed messages, and forget them."""
    edges = [item for batch in captured.facts.take(None) for item in batch.edges.items()]
    assert all("direction:in" in edge.tags for edge, _ in edges)
    topics = {
        next(tag.removeprefix("topic:") for tag in edge.tags if tag.startswith("topic:")): of for edge, of in edges
    }
    assert len(topics) == len(edges)
    return topics


def deliveries(captured: Captured) -> dict[str, tuple[int, int]]:
    """Return how many messages were redelivered, and how many dead-lettered, by topic."""
    return {topic: (facts.redelivered, facts.dead_lettered) for topic, facts in facts_of(captured).items()}


async def take(queue: AbstractQueue) -> AbstractIncomingMessage:
    """Take a message from a queue once it is there."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message = await queue.get(fail=False)
            if message is not None:
                return message
            await asyncio.sleep(0.02)


# RabbitMQ -------------------------------------------------------------------------------------------------------------


async def test_aio_pika_counts_redeliveries_and_dead_letters(
    channel: AbstractChannel, name: Callable[[], str], captured_streams: Captured
) -> None:
    dead = await channel.declare_queue(name(), auto_delete=True)
    routed: Any = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
    queue = await channel.declare_queue(name(), arguments=routed)
    await channel.default_exchange.publish(Message(b"order"), queue.name)
    await (await take(queue)).nack(requeue=True)
    assert deliveries(captured_streams) == {}
    await (await take(queue)).nack(requeue=False)
    await (await take(dead)).ack()
    assert deliveries(captured_streams) == {queue.name: (1, 0), dead.name: (0, 1)}
    await queue.delete()


def test_kombu_counts_redeliveries(rabbitmq: RabbitMQ, name: Callable[[], str], captured_streams: Captured) -> None:
    with asyncdsm.wrap(Connection(rabbitmq.url)) as connection:
        queue = Queue(name(), auto_delete=True, channel=connection.channel())
        queue.declare()
        connection.Producer().publish("order", routing_key=queue.name)
        take_message(queue).requeue()
        assert deliveries(captured_streams) == {}
        take_message(queue).ack()
    assert deliveries(captured_streams) == {queue.name: (1, 0)}


@pytest.mark.usefixtures("tidy_kombu")
def test_celery_counts_retries(captured_streams: Captured, caplog: pytest.LogCaptureFixture) -> None:
    queue, done = fresh(), Event()
    app: Any = Celery(queue, broker="memory://", set_as_current=False)
    app.conf.update(task_default_queue=queue, worker_redirect_stdouts=False, worker_enable_remote_control=False)
    asyncdsm.wrap(app)

    @app.task(bind=True, shared=False, ignore_result=True, name=f"fail {queue}")
    def fail(self: Any) -> None:
        if self.request.retries < 2:
            self.retry(countdown=0)
        done.set()

    def leave_logging_alone(**_: Any) -> None:
        """A worker does not set up logging if this signal has a receiver."""

    signals.setup_logging.connect(leave_logging_alone)
    worker: Any = start_worker(app, pool="solo", perform_ping_check=False)
    with worker:
        fail.apply_async()
        assert done.wait(60)
    app.close()
    assert deliveries(captured_streams) == {queue: (2, 0)}


async def test_faststream_counts_redeliveries(
    rabbitmq: RabbitMQ, name: Callable[[], str], captured_streams: Captured
) -> None:
    broker = RabbitBroker(rabbitmq.url, middlewares=[FastStreamMiddleware])
    setup, seen, queue = BrokerSetup(broker, name), Seen(), name()

    @setup.subscriber(queue)
    async def handle(message: RabbitMessage) -> None:
        seen.add(message.raw_message.redelivered)
        if not message.raw_message.redelivered:
            await message.nack()

    async with run_broker(setup):
        await broker.publish("order", queue)
        assert await seen.wait_for(2) == [False, True]
    assert deliveries(captured_streams) == {queue: (1, 0)}


async def test_taskiq_counts_retries(captured_streams: Captured) -> None:
    broker = InMemoryBroker().with_middlewares(SimpleRetryMiddleware(default_retry_count=3), DataStreamsMiddleware())
    tries = list[int]()

    @broker.task(retry_on_error=True)
    async def fail() -> None:
        tries.append(1)
        raise ZeroDivisionError

    await broker.startup()
    await fail.kiq()
    async with asyncio.timeout(30):
        while len(tries) < 3:
            await asyncio.sleep(0.01)
    await broker.wait_all()
    await broker.shutdown()
    assert deliveries(captured_streams) == {"taskiq": (2, 0)}


# SQS ------------------------------------------------------------------------------------------------------------------


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.mark.parametrize("asked", [{"AttributeNames": ["All"]}, {"AttributeNames": ["ApproximateReceiveCount"]}, {}])
def test_sqs_counts_redeliveries_where_the_program_asks_for_the_count(
    ministack: Aws, captured_streams: Captured, asked: dict[str, Any]
) -> None:
    sqs, parameters = wrapped_client(ministack, "sqs"), fill_queue(ministack, 1) | asked
    for _ in range(3):
        answer = sqs.receive_message(**parameters, VisibilityTimeout=0)
        assert len(answer["Messages"]) == 1
        assert ("Attributes" in answer["Messages"][0]) is bool(asked)
    assert deliveries(captured_streams) == ({name_of(parameters["QueueUrl"]): (2, 0)} if asked else {})


@pytest.mark.parametrize(
    ("attributes", "counted"),
    [
        ({"ApproximateReceiveCount": "1"}, {}),
        ({"ApproximateReceiveCount": "12"}, {"orders": (1, 0)}),
        ({"DeadLetterQueueSourceArn": "arn:aws:sqs:us-east-1:1:others"}, {"orders": (0, 1)}),
        ({"ApproximateReceiveCount": 7, "DeadLetterQueueSourceArn": []}, {}),
        ({"ApproximateReceiveCount": "²", "DeadLetterQueueSourceArn": ""}, {}),
        ("ApproximateReceiveCount", {}),
    ],
    ids=repr,
)
def test_lambda_counts_what_the_attributes_of_its_records_say(
    captured_streams: Captured, attributes: Any, counted: dict[str, tuple[int, int]]
) -> None:
    arn = "arn:aws:sqs:us-east-1:1:orders"
    record = {"eventSource": "aws:sqs", "eventSourceARN": arn, "body": "b", "attributes": attributes}
    asyncdsm.consume_lambda_event({"Records": [record]})
    assert deliveries(captured_streams) == counted


# Batches --------------------------------------------------------------------------------------------------------------


class Work:
    """Works on messages of a batch, each for 20 ms, and says how long each has to have waited at least."""

    SECONDS = 0.02

    async def work_through(self, *batches: Any) -> None:
        for batch in batches:
            for _ in batch:
                await asyncio.sleep(self.SECONDS)

    def check_waits(self, facts: EdgeFacts, count: int) -> None:
        least = round(self.SECONDS * 1e9)
        assert facts.waits == count
        assert facts.longest_wait_ns >= (count - 1) * least
        assert facts.wait_ns >= sum(range(count)) * least
        assert facts.wait_ns <= count * facts.longest_wait_ns


async def test_aiokafka_counts_waits_in_a_batch(kafka: Kafka, captured_streams: Captured) -> None:
    async with getmany(kafka, 3, 2) as batches:
        await Work().work_through(*batches.values())
        topics = {partition.topic: len(records) for partition, records in batches.items()}
    facts = facts_of(captured_streams)
    assert {topic: of.waits for topic, of in facts.items()} == topics
    # The records of the second partition wait for those of the first one, too.
    assert max(of.longest_wait_ns for of in facts.values()) >= 4 * Work.SECONDS * 1e9


async def test_confluent_counts_waits_in_a_batch(kafka: Kafka, captured_streams: Captured) -> None:
    topic, consumer = fill_topic(kafka, 3), asyncdsm.wrap(confluent_kafka.Consumer)(consumer_config(kafka))
    batch = await asyncio.to_thread(lambda: consume(from_start(consumer, topic), 3))
    await Work().work_through(batch)
    await asyncio.to_thread(consumer.close)
    Work().check_waits(facts_of(captured_streams)[topic], 3)


async def test_sqs_counts_waits_in_a_batch(ministack: Aws, captured_streams: Captured) -> None:
    parameters = await asyncio.to_thread(fill_queue, ministack, 3)
    async with followed_session().create_client("sqs", **ministack.options) as sqs:
        await Work().work_through((await sqs.receive_message(**parameters))["Messages"])
    Work().check_waits(facts_of(captured_streams)[name_of(parameters["QueueUrl"])], 3)


async def test_resource_of_boto3_counts_waits_in_its_own_list(ministack: Aws, captured_streams: Captured) -> None:
    def receive() -> Any:
        parameters = fill_queue(ministack, 3)
        session: Any = boto3.session.Session()
        queue = asyncdsm.wrap(session).resource("sqs", **ministack.options).Queue(parameters.pop("QueueUrl"))
        return queue.url, queue.receive_messages(**parameters)

    url, messages = await asyncio.to_thread(receive)
    await Work().work_through(messages)
    Work().check_waits(facts_of(captured_streams)[name_of(url)], 3)


async def test_message_that_is_taken_twice_has_waited_once(ministack: Aws, captured_streams: Captured) -> None:
    parameters = await asyncio.to_thread(fill_queue, ministack, 3)
    async with followed_session().create_client("sqs", **ministack.options) as sqs:
        messages = (await sqs.receive_message(**parameters))["Messages"]
    assert messages[1]["Body"] == messages[1]["Body"]
    assert [json.dumps(message["Body"]) for message in messages] == [json.dumps(each["Body"]) for each in messages[:]]
    assert facts_of(captured_streams)[name_of(parameters["QueueUrl"])].waits == 3


async def test_single_message_does_not_wait_in_a_batch(kafka: Kafka, captured_streams: Captured) -> None:
    async with getmany(kafka, 1) as batches:
        await Work().work_through(*batches.values())
    assert facts_of(captured_streams) == {}


async def test_record_that_came_alone_has_no_fact(kafka: Kafka, captured_streams: Captured) -> None:
    topic = await asyncio.to_thread(fill_topic, kafka, 1)
    options: dict[str, Any] = {"bootstrap_servers": kafka.bootstrap, "auto_offset_reset": "earliest"}
    async with asyncdsm.wrap(AIOKafkaConsumer(topic, **options)) as consumer:
        await consumer.getone()
    assert len(captured_streams.consumed(topic)) == 1
    assert facts_of(captured_streams) == {}
