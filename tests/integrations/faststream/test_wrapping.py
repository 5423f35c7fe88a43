"""Brokers that are wrapped or instrumented, also on top of a client that is: each message counts once."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import aiokafka
import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream.kafka import KafkaBroker
from faststream.rabbit import RabbitBroker

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.faststream.brokers import BrokerSetup, Seen, run_broker


async def test_message_counts_once_on_wrapped_and_instrumented_brokers(
    kafka: Kafka, captured_streams: Captured
) -> None:
    count = Seen()

    async def once(prepare: Callable[[Any], Awaitable[None] | None]) -> None:
        broker: Any = KafkaBroker(kafka.bootstrap, logger=None)
        prepare(broker)
        name = kafka.topic()

        @broker.subscriber(name, auto_offset_reset="earliest")
        async def handle(number: int) -> None:
            count.add(number)

        async with run_broker(BrokerSetup(broker, str)):
            await broker.publish(1, name)
            await count.wait_for(1)
        assert [len(captured_streams.produced(name)), len(captured_streams.consumed(name))] == [1, 1]
        count.seen.clear()

    await once(lambda broker: asyncdsm.wrap(asyncdsm.wrap(broker)))
    asyncdsm.instrument("faststream")
    try:
        await once(lambda broker: None)
        await once(asyncdsm.wrap)
    finally:
        asyncdsm.uninstrument("faststream")


@pytest.mark.parametrize(
    ("setup", "client"), [("aiokafka", "aiokafka"), ("confluent", "confluent_kafka")], indirect=["setup"]
)
async def test_message_counts_once_if_the_kafka_client_is_followed_too(
    kafka: Kafka, setup: BrokerSetup, client: str, captured_streams: Captured
) -> None:
    broker, count = setup.broker, Seen()
    name, batches, other = setup.name(), setup.name(), setup.name()

    @setup.subscriber(name, grouped=True)
    @broker.publisher(other)
    async def pass_on(number: int) -> int:
        count.add(asyncdsm.current_pathway())
        return number

    @setup.subscriber(batches, batch=True)
    async def handle(numbers: list[int]) -> None:
        for number in numbers:
            count.add(number)

    asyncdsm.instrument(client)
    try:
        async with run_broker(setup):
            await broker.publish(1, name)
            await broker.publish_batch(1, 2, topic=batches)
            async with aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
                with current.suppress_nested_checkpoints():  # as from somebody who is not followed: without a context
                    await producer.send_and_wait(name, b"1")
            await count.wait_for(4)
            async with asyncio.timeout(20):
                while len(captured_streams.produced(other)) < 2:
                    await asyncio.sleep(0.01)
    finally:
        asyncdsm.uninstrument(client)
    bare = aiokafka.AIOKafkaConsumer(
        name, batches, other, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    async with bare:
        on_broker = [await bare.getone() for _ in range(6)]
    assert sorted([key for key, _ in record.headers].count(HEADER) for record in on_broker) == [0, 1, 1, 1, 1, 1]
    produced, consumed = {name: 1, batches: 2, other: 2}, {name: 2, batches: 2, other: 0}
    assert {topic: len(captured_streams.produced(topic)) for topic in produced} == produced
    assert {topic: len(captured_streams.consumed(topic)) for topic in consumed} == consumed
    passed_on = {made.parent for made in captured_streams.produced(other)}
    assert passed_on == {made.hash for made in captured_streams.consumed(name)}


async def test_message_counts_once_if_aio_pika_is_followed_too(rabbitmq: RabbitMQ, captured_streams: Captured) -> None:
    broker: Any = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
    names = [f"queue-{uuid4().hex[:12]}" for _ in range(3)]
    count = Seen()

    @broker.subscriber(names[0])
    @broker.publisher(names[1])
    async def pass_on(number: int) -> int:
        count.add((number, asyncdsm.current_pathway()))
        return number

    fetched = broker.subscriber(names[2])
    asyncdsm.instrument("aio_pika")
    try:
        async with run_broker(BrokerSetup(broker, str)):
            for number in range(3):
                with current.restored(Pathway(1000 + number, 1, 1)):
                    await broker.publish(number, names[0])
            seen = await count.wait_for(3)
            await broker.publish(1, names[2])
            message = await fetched.get_one(timeout=5)
            assert message.headers[HEADER]
            current.set_current(None)
    finally:
        asyncdsm.uninstrument("aio_pika")
    assert [len(captured_streams.produced(name)) for name in names] == [3, 3, 1]
    assert [len(captured_streams.consumed(name)) for name in names] == [3, 0, 1]
    sent = {made.hash: made.parent - 1000 for made in captured_streams.produced(names[0])}
    came = {made.hash: sent[made.parent] for made in captured_streams.consumed(names[0])}
    assert all(came[pathway.hash] == number for number, pathway in seen)
    assert sorted(came[made.parent] for made in captured_streams.produced(names[1])) == [0, 1, 2]
