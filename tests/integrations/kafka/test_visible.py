"""A program sees its messages as their client returns them, with the header of the protocol as the only addition."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from asyncdsm_faststream import DataStreamsMiddleware
from faststream.confluent import KafkaBroker as ConfluentBroker
from faststream.kafka import KafkaBroker

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.integration import pathway_cache
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka

Topic = Callable[..., str]


async def send(kafka: Kafka, topic: str, *contexts: Pathway) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as bare:
        for context in contexts:
            await bare.send_and_wait(topic, b"v", headers=[(HEADER, context.wire())])


def consumer_of(kafka: Kafka, topic: str) -> AIOKafkaConsumer:
    bare = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, group_id=topic, auto_offset_reset="earliest")
    return asyncdsm.wrap(bare)


async def test_consumed_record_has_the_members_of_a_record_alone(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    await send(kafka, name, Pathway(5, 1, 1), Pathway(6, 1, 1))
    async with consumer_of(kafka, name) as consumer:
        single = await consumer.getone()
        ((_, (batched,)),) = (await consumer.getmany(timeout_ms=10_000)).items()
    for record, parent in ((single, 5), (batched, 6)):
        assert type(record) is ConsumerRecord
        assert list(vars(record)) == list(record.__dataclass_fields__)
        pickled = pickle.loads(pickle.dumps(record))  # noqa: S301
        assert ConsumerRecord(**vars(record)) == record == pickled
        made = next(made for made in captured_streams.consumed(name) if made.parent == parent)
        for same in (record, copy.copy(record), replace(record, value=b"w"), pickled):
            with asyncdsm.using(same) as pathway:
                assert pathway is not None
                assert pathway.hash == made.hash
        with asyncdsm.using(record) as pathway:
            assert pathway is not None
            assert pathway.edge_start_ns == made.time_ns  # it is remembered when it was consumed


async def test_record_is_usable_after_thousands_of_others(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    await send(kafka, name, Pathway(5, 1_700_000_000_000_000_000, 1_700_000_000_000_000_000))
    async with consumer_of(kafka, name) as consumer:
        record = await consumer.getone()
    (made,) = captured_streams.consumed(name)
    others = [object() for _ in range(4 * pathway_cache.ROOM)]
    for number, other in enumerate(others):
        pathway_cache.store_pathway(other, number, Pathway(1, 1, 1))
    with asyncdsm.using(record) as pathway:
        assert pathway is not None
        assert (pathway.hash, pathway.pathway_start_ns) == (made.hash, 1_700_000_000_000_000_000)


async def receive(broker: Any, name: str) -> tuple[list[str], Any, Any]:
    """Send a message through a broker; return the members of what a handler gets, its pathway, and the current one."""
    came: asyncio.Future[tuple[list[str], Any, Any]] = asyncio.get_running_loop().create_future()

    @broker.subscriber(name, auto_offset_reset="earliest")  # type: ignore[untyped-decorator]
    async def handle(number: int) -> None:
        message = broker.context.get_local("message")
        with asyncdsm.using(message) as pathway:
            used = pathway
        came.set_result((list(vars(message)), used, asyncdsm.current_pathway()))

    await broker.start()
    try:
        await broker.publish(1, name)
        async with asyncio.timeout(30):
            return await came
    finally:
        await broker.stop()


@pytest.mark.parametrize("is_confluents", [False, True], ids=["aiokafka", "confluent"])
async def test_faststream_message_has_the_members_of_a_message_alone(
    kafka: Kafka, topic: Topic, captured_streams: Captured, is_confluents: bool
) -> None:
    def make(**options: Any) -> Any:
        if is_confluents:
            return ConfluentBroker(kafka.bootstrap, allow_auto_create_topics=False, logger=None, **options)
        return KafkaBroker(kafka.bootstrap, logger=None, **options)

    members, used, current = await receive(make(middlewares=[DataStreamsMiddleware]), topic())
    bare_members, *_ = await receive(make(), topic())
    assert members == bare_members
    assert used == current is not None
    assert used.edge_start_ns == captured_streams.consumed()[0].time_ns
