"""aio-pika: one connection, channel, exchange or queue is followed, with everything that it makes."""

from __future__ import annotations

from contextlib import nullcontext
from enum import Enum
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import aio_pika
import pytest
from aio_pika import Message, RobustChannel, RobustConnection, RobustExchange, RobustQueue
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractQueue,
    AbstractRobustConnection,
)

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.aio_pika.clients import KINDS, Name, count_checkpoints, instrumented, publish_and_consume_three

ABSTRACT: tuple[type, ...] = (AbstractRobustConnection, AbstractChannel, AbstractExchange, AbstractQueue)


async def test_wrapped_connection_follows_what_it_makes(
    plain: AbstractConnection, captured_streams: Captured, name: Name
) -> None:
    assert asyncdsm.wrap(plain) is asyncdsm.wrap(plain) is plain
    assert isinstance(plain, RobustConnection)
    channel = await plain.channel()
    assert isinstance(channel, RobustChannel)
    assert isinstance(channel.default_exchange, RobustExchange)
    queue = await channel.declare_queue(name())
    assert isinstance(queue, RobustQueue)
    assert repr(queue).startswith("<RobustQueue(")
    await publish_and_consume_three(channel, queue)
    assert count_checkpoints(captured_streams) == (3, 3)


async def test_other_channels_stay_unfollowed(
    plain: AbstractConnection, captured_streams: Captured, name: Name
) -> None:
    wrapped = asyncdsm.wrap(await plain.channel())
    other = await plain.channel()
    queue = await other.declare_queue(name())
    await publish_and_consume_three(other, queue)
    assert captured_streams.checkpoints == []
    await publish_and_consume_three(wrapped, await wrapped.declare_queue(name()))
    assert count_checkpoints(captured_streams) == (3, 3)


async def test_wrapped_channel_follows_what_it_has_already(
    plain: AbstractConnection, captured_streams: Captured, name: Name
) -> None:
    channel = await plain.channel()
    queue, exchange = await channel.declare_queue(name()), await channel.declare_exchange(name())
    await queue.bind(exchange, "key")
    asyncdsm.wrap(channel)
    await exchange.publish(Message(b"body"), "key")
    await queue.get(no_ack=True)
    await publish_and_consume_three(channel, queue)
    assert count_checkpoints(captured_streams) == (4, 4)


async def test_wrapped_exchange_counts_only_produce(
    plain: AbstractConnection, captured_streams: Captured, name: Name
) -> None:
    channel = await plain.channel()
    queue = await channel.declare_queue(name())
    asyncdsm.wrap(channel.default_exchange)
    await publish_and_consume_three(channel, queue)
    assert count_checkpoints(captured_streams) == (3, 0)


async def test_wrapped_queue_counts_only_consume(
    plain: AbstractConnection, captured_streams: Captured, name: Name
) -> None:
    channel = await plain.channel()
    queue = asyncdsm.wrap(await channel.declare_queue(name()))
    await publish_and_consume_three(channel, queue)
    assert count_checkpoints(captured_streams) == (0, 3)


async def test_connection_that_is_not_robust_is_followed(
    rabbitmq: RabbitMQ, captured_streams: Captured, name: Name
) -> None:
    async with asyncdsm.wrap(await aio_pika.connect(rabbitmq.url)) as connection:
        channel = await connection.channel()
        await publish_and_consume_three(channel, await channel.declare_queue(name(), exclusive=True))
    assert count_checkpoints(captured_streams) == (3, 3)


async def test_users_queue_class_is_followed(rabbitmq: RabbitMQ, captured_streams: Captured, name: Name) -> None:
    class OwnQueue(RobustQueue):
        pass

    class OwnChannel(RobustChannel):
        QUEUE_CLASS = OwnQueue

    class OwnConnection(RobustConnection):
        CHANNEL_CLASS = OwnChannel

    async with asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url, connection_class=OwnConnection)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name(), exclusive=True)
        assert isinstance(queue, OwnQueue)
        await publish_and_consume_three(channel, queue)
    assert count_checkpoints(captured_streams) == (3, 3)


@pytest.mark.parametrize("way", ["wrapped", "instrumented"])
async def test_users_exchange_class_that_publishes_twice_counts_both(
    rabbitmq: RabbitMQ, captured_streams: Captured, bare: AbstractChannel, name: Name, way: str
) -> None:
    """What the class changes is sent and counted; what it sends elsewhere has a context of its own."""
    audit, orders = await bare.declare_queue(name()), await bare.declare_queue(f"prod.{name()}")

    class OwnExchange(RobustExchange):
        async def publish(self, message: Any, routing_key: str = "nowhere", **kwargs: Any) -> Any:
            message.message_id = "own"
            await super().publish(message, audit.name)
            return await super().publish(message, f"prod.{routing_key}", **kwargs)

    class OwnChannel(RobustChannel):
        EXCHANGE_CLASS = OwnExchange

    class OwnConnection(RobustConnection):
        CHANNEL_CLASS = OwnChannel

    follow: Any = asyncdsm.wrap if way == "wrapped" else lambda connection: connection
    with instrumented() if way == "instrumented" else nullcontext():
        async with follow(await aio_pika.connect_robust(rabbitmq.url, connection_class=OwnConnection)) as connection:
            exchange: Any = (await connection.channel()).default_exchange
            await exchange.publish(Message(b"body"), orders.name.removeprefix("prod."))
            await exchange.publish(Message(b"body"))
    assert [made.topic for made in captured_streams.produced()] == [
        audit.name,
        orders.name,
        audit.name,
        "prod.nowhere",
    ]
    for queue, sent in ((audit, 0), (orders, 1)):
        message = await queue.get(no_ack=True)
        assert message is not None
        assert message.message_id == "own"
        pathway = Pathway.decode_base64(str(message.headers[HEADER]))
        assert pathway is not None
        assert pathway.hash == captured_streams.produced()[sent].hash


async def test_class_that_refuses_a_subclass_is_left_with_a_warning(
    rabbitmq: RabbitMQ, captured_streams: Captured, name: Name, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest of the connection is followed."""

    class Particular(RobustQueue):
        def __init_subclass__(cls, *, reason: str) -> None:
            """Demand an argument that nobody gives."""

    class OwnChannel(RobustChannel):
        QUEUE_CLASS = Particular

    class OwnConnection(RobustConnection):
        CHANNEL_CLASS = OwnChannel

    async with asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url, connection_class=OwnConnection)) as connection:
        channel = await connection.channel()
        await publish_and_consume_three(channel, await channel.declare_queue(name(), exclusive=True))
    assert count_checkpoints(captured_streams) == (3, 0)
    assert any("asyncdsm.wrap() cannot instrument" in record.getMessage() for record in caplog.records)


async def test_enum_member_as_name_is_its_value(rabbitmq: RabbitMQ, captured_streams: Captured, name: Name) -> None:
    class Names(str, Enum):  # noqa: UP042  # unlike a StrEnum's, its members format as their names
        QUEUE = name()

    async with asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(Names.QUEUE, exclusive=True)
        await channel.default_exchange.publish(Message(b"body"), Names.QUEUE)
        await queue.get(no_ack=True)
    assert [made.topic for made in captured_streams.checkpoints] == [Names.QUEUE.value] * 2


@pytest.mark.parametrize("make", [MagicMock, AsyncMock])
@pytest.mark.parametrize(
    "spec",
    [aio_pika.RobustConnection, AbstractRobustConnection, AbstractChannel, AbstractQueue, AbstractExchange, *KINDS],
    ids=lambda kind: kind.__name__,
)
def test_wrap_returns_a_mock_unchanged(make: Any, spec: type, caplog: pytest.LogCaptureFixture) -> None:
    for mock in (make(spec=spec), make(spec_set=spec), create_autospec(spec, instance=True)):
        before = dict(vars(mock)), mock.mock_calls[:]
        assert asyncdsm.wrap(mock) is mock
        assert (dict(vars(mock)), mock.mock_calls[:]) == before
    assert caplog.records == []
