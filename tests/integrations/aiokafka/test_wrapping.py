"""Clients of aiokafka are followed by `wrap` or `instrument`, counted once, and restored by `uninstrument`."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageAccumulator
from asyncdsm_aiokafka import integration

import asyncdsm
from asyncdsm import UnknownClientError
from asyncdsm.integration.hooks import is_hook
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic

HOOKED = (AIOKafkaProducer, AIOKafkaConsumer, MessageAccumulator, ClusterMetadata, GroupCoordinator)


def methods() -> list[dict[str, Any]]:
    return [{name: value for name, value in vars(kind).items() if callable(value)} for kind in HOOKED]


async def test_instrument_follows_every_client_and_uninstrument_restores(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    before = methods()
    name = topic()
    early = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    async with early:
        asyncdsm.instrument("aiokafka")
        asyncdsm.instrument("aiokafka")
        try:
            wrapped_too = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap))
            late = AIOKafkaConsumer(
                name,
                bootstrap_servers=kafka.bootstrap,
                group_id="late",
                auto_offset_reset="earliest",
            )
            async with wrapped_too, late:
                await early.send_and_wait(name, b"v")
                await wrapped_too.send_and_wait(name, b"v")
                for _ in range(2):
                    await late.getone()
                await late.commit()
        finally:
            asyncdsm.uninstrument("aiokafka")
    assert len(captured_streams.produced(name)) == 2
    assert [made.tag("group") for made in captured_streams.consumed(name)] == ["late"] * 2
    assert [value for tags, value in captured_streams.backlogs.items() if "consumer_group:late" in tags] == [2]
    assert methods() == before


async def test_client_wrapped_twice_or_subclassed_counts_once(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    class Own(AIOKafkaConsumer):  # type: ignore[misc]
        async def getone(self, *partitions: Any) -> Any:
            return await super().getone(*partitions)

    name = topic()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    assert asyncdsm.wrap(asyncdsm.wrap(producer)) is producer
    asyncdsm.instrument("aiokafka")
    try:
        async with (
            producer,
            asyncdsm.wrap(Own(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")) as consumer,
        ):
            await producer.send_and_wait(name, b"v")
            await consumer.getone()
    finally:
        asyncdsm.uninstrument()
    assert (len(captured_streams.produced(name)), len(captured_streams.consumed(name))) == (1, 1)


async def test_hook_has_the_signature_of_its_method(kafka: Kafka) -> None:
    bare = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
    consumer = asyncdsm.wrap(AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap))
    for name in ("getone", "getmany"):
        hook = getattr(consumer, name)
        assert is_hook(hook)
        assert asyncio.iscoroutinefunction(hook)
        assert inspect.signature(hook) == inspect.signature(getattr(bare, name))
    await consumer.stop()
    await bare.stop()


def test_unknown_client_is_a_clear_error(captured_streams: Captured) -> None:
    with pytest.raises(UnknownClientError, match=r"builtins\.int; known: .*aiokafka"):
        asyncdsm.wrap(3)
    with pytest.raises(UnknownClientError, match=r"not a consumed message: builtins\.int"), asyncdsm.using(3):
        pass
    with pytest.raises(UnknownClientError, match="no integration named 'pulsar'"):
        asyncdsm.instrument("pulsar")
    assert integration.wrap(3) is None
