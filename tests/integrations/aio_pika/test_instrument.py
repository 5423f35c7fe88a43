"""aio-pika: `instrument` follows everything, also together with OpenTelemetry's instrumentation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import (
    AbstractConnection,
)

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.aio_pika.clients import (
    KINDS,
    Name,
    count_checkpoints,
    instrumented,
    opentelemetry_instrumented,
    publish_and_consume_three,
)


async def test_instrument_follows_everything_until_uninstrument(
    plain: AbstractConnection, captured_streams: Captured, name: Name
) -> None:
    before = [dict(vars(kind)) for kind in KINDS]
    channel = await plain.channel()
    queue = await channel.declare_queue(name())
    with instrumented():
        asyncdsm.instrument("aio_pika")  # a second time changes nothing
        await publish_and_consume_three(channel, queue)
        assert count_checkpoints(captured_streams) == (3, 3)
        asyncdsm.wrap(channel)  # wrapped and instrumented: still counted once
        captured_streams.clear()
        await publish_and_consume_three(channel, await channel.declare_queue(name()))
        assert count_checkpoints(captured_streams) == (3, 3)
    assert [dict(vars(kind)) for kind in KINDS] == before
    captured_streams.clear()
    other = await plain.channel()
    await publish_and_consume_three(other, await other.declare_queue(name()))
    assert captured_streams.checkpoints == []


@pytest.mark.parametrize("way", ["ours inside", "ours outside", "wrapped before", "wrapped after"])
@pytest.mark.parametrize("robust", [True, False])
async def test_opentelemetry_in_any_order_counts_once(
    rabbitmq: RabbitMQ, captured_streams: Captured, name: Name, way: str, robust: bool
) -> None:
    """Its patches of the same methods stay in force, and asyncdsm counts once, in either order."""
    before = [dict(vars(kind)) for kind in KINDS]
    connect: Any = aio_pika.connect_robust if robust else aio_pika.connect

    async def use(connection: AbstractConnection) -> None:
        channel = await connection.channel()
        headers = await publish_and_consume_three(channel, await channel.declare_queue(name(), exclusive=True))
        assert "traceparent" in headers
        assert count_checkpoints(captured_streams) == (3, 3)

    async with await connect(rabbitmq.url) as connection:
        if way == "ours inside":
            with instrumented(), opentelemetry_instrumented():
                await use(connection)
        elif way == "ours outside":
            with opentelemetry_instrumented(), instrumented():
                await use(connection)
        elif way == "wrapped before":
            asyncdsm.wrap(connection)
            with opentelemetry_instrumented():
                await use(connection)
        else:
            with opentelemetry_instrumented():
                await use(asyncdsm.wrap(connection))
    assert [dict(vars(kind)) for kind in KINDS] == before


async def test_uninstrument_below_another_wrapper_counts_nothing(
    plain: AbstractConnection, captured_streams: Captured, name: Name, restored_classes: None
) -> None:
    asyncdsm.instrument("aio_pika")
    with opentelemetry_instrumented():
        channel = await plain.channel()
        consuming = await channel.declare_queue(name(), exclusive=True)
        came = asyncio.Event()

        async def take(_: Any) -> None:
            came.set()

        await consuming.consume(take, no_ack=True)
        asyncdsm.uninstrument("aio_pika")
        await publish_and_consume_three(channel, await channel.declare_queue(name(), exclusive=True))
        await channel.default_exchange.publish(Message(b""), consuming.name)
        await came.wait()
        assert captured_streams.checkpoints == []
        asyncdsm.instrument("aio_pika")
        await publish_and_consume_three(channel, await channel.declare_queue(name(), exclusive=True))
        assert count_checkpoints(captured_streams) == (3, 3)
        asyncdsm.uninstrument("aio_pika")
        await publish_and_consume_three(channel, await channel.declare_queue(name(), exclusive=True))
        assert count_checkpoints(captured_streams) == (3, 3)


@pytest.fixture
def restored_classes() -> Iterator[None]:
    """Restore aio-pika's classes: two libraries that unpatch in the order in which they patched leave hooks there."""
    before = [dict(vars(kind)) for kind in KINDS]
    yield
    for kind, own in zip(KINDS, before, strict=True):
        for method, function in own.items():
            if vars(kind).get(method) is not function:
                setattr(kind, method, function)
