"""Messages that reach tasks, workers and threads, in each way that docs/batches.md lists, and those of callbacks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aiokafka import AIOKafkaProducer
from blockbuster import BlockBuster

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.aiokafka.clients import consumer_of
from tests.integrations.pipelines.rows import read_rows
from tests.integrations.pipelines.task_ways import WAYS

MESSAGES = 3
TESTS = Path(__file__).parents[2]
CALLED = {
    "`queue.consume(callback)` of aio-pika": "integrations/aio_pika/test_attribution.py"
    "::test_concurrent_callbacks_publish_with_their_own_parent",
    "callbacks, `on_message` and mixins of Kombu": "integrations/kombu/test_consume.py"
    "::test_publish_in_a_callback_follows_the_message",
    "tasks of Celery": "end_to_end/test_celery.py::test_chain_of_three_tasks_is_one_pathway",
    "actors of dramatiq": "integrations/dramatiq/test_attribution.py"
    "::test_concurrent_messages_each_have_their_own_pathway",
    "`async for message in client.messages` of aiomqtt": "integrations/aiomqtt/test_attribution.py"
    "::test_concurrent_readers_publish_with_their_own_parent",
    "callbacks of nats-py": "integrations/nats/test_attribution.py"
    "::test_tasks_of_a_callback_publish_with_their_own_parent",
    "callbacks of azure-eventhub": "integrations/eventhub/test_consume.py"
    "::test_event_is_current_in_its_callback_and_not_in_the_next_one",
    "callbacks of google-cloud-pubsub": "integrations/pubsub/test_attribution.py"
    "::test_callbacks_in_threads_publish_with_their_own_parent",
    "tasks of taskiq": "integrations/taskiq/test_attribution.py::test_concurrent_tasks_each_have_their_own_pathway",
    "handlers of FastStream": "integrations/faststream/test_attribution.py"
    "::test_concurrent_handlers_each_have_the_pathway_of_their_message",
    "requests of an ASGI app that bring a message": "integrations/asgi/test_consume.py"
    "::test_pushed_message_is_consumed_with_its_context_and_topic",
    "all other requests": "integrations/asgi/test_attribution.py"
    "::test_request_begins_without_a_pathway_and_restores_its_callers",
}
"""What libraries call, by row: the test that shows which message is current there."""


@pytest.fixture
def blockbuster(blockbuster: BlockBuster) -> BlockBuster:
    """Pools of threads are waited for."""
    blockbuster.deactivate()
    return blockbuster


@pytest.fixture(params=["kafka", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
async def receive(broker: Kafka | RabbitMQ, captured_streams: Captured) -> AsyncIterator[Any]:
    """Return a client's method that receives one of three messages, each with a pathway of its own."""
    contexts = [Pathway(number + 1, 1, 1).encode_base64() for number in range(MESSAGES)]
    async with AsyncExitStack() as stack:
        if isinstance(broker, Kafka):
            yield await receive_from_kafka(broker, contexts, stack)
        else:
            yield await receive_from_rabbitmq(broker, contexts, stack)


async def receive_from_kafka(kafka: Kafka, contexts: list[str], stack: AsyncExitStack) -> Callable[[], Awaitable[Any]]:
    topic = kafka.topic()
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as bare:
        for context in contexts:
            await bare.send_and_wait(topic, b"v", partition=0, headers=[(HEADER, context.encode())])
    consumer: Any = await stack.enter_async_context(consumer_of(kafka, topic))
    return consumer.getone  # type: ignore[no-any-return]


async def receive_from_rabbitmq(
    rabbitmq: RabbitMQ, contexts: list[str], stack: AsyncExitStack
) -> Callable[[], Awaitable[Any]]:
    connection = await stack.enter_async_context(await aio_pika.connect(rabbitmq.url))
    channel = await connection.channel()
    queue = await channel.declare_queue(f"tasks-{id(contexts)}", auto_delete=True)
    for context in contexts:
        await channel.default_exchange.publish(aio_pika.Message(b"v", headers={HEADER: context}), queue.name)
    return lambda: asyncdsm.wrap(queue).get(no_ack=True)


@pytest.mark.parametrize("row", WAYS)
async def test_message_is_current_in_each_way(row: str, receive: Any, captured_streams: Captured) -> None:
    go, expected = WAYS[row]
    await go(receive, lambda: asyncdsm.set_produce_checkpoint("test", "out", lambda _key, _value: None))
    received = [made.hash for made in captured_streams.consumed()]
    assert len(set(received)) == len(received)
    sent = captured_streams.produced("out")
    assert [received.index(made.parent) if made.parent else None for made in sent] == expected


def test_page_has_a_row_for_each_way_to_a_task() -> None:
    assert read_rows("tasks") == list(WAYS)


def test_page_has_a_row_for_each_callback_and_each_has_a_test() -> None:
    assert read_rows("called") == list(CALLED)
    for test in CALLED.values():
        module, name = test.split("::")
        assert re.search(rf"^(async )?def {name}\(", TESTS.joinpath(module).read_text("utf-8"), re.MULTILINE)
