"""What is followed: one connection, channel, exchange or queue with what it makes, or all; beside others' patches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from enum import Enum
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import aio_pika
import pytest
from aio_pika import Exchange, Message, Queue, RobustChannel, RobustConnection, RobustExchange, RobustQueue
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
    AbstractRobustConnection,
)
from aio_pika.queue import QueueIterator
from aio_pika.robust_queue import RobustQueueIterator
from opentelemetry.instrumentation.aio_pika import AioPikaInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.pathway import HEADER
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.aio_pika.test_consume import Seen

Name = Callable[[], str]
KINDS = (Exchange, RobustExchange, Queue, RobustQueue, QueueIterator, RobustQueueIterator)
ABSTRACT: tuple[type, ...] = (AbstractRobustConnection, AbstractChannel, AbstractExchange, AbstractQueue)
TRACES = TracerProvider()  # made here: it asks the machine about itself, which would block the loop


@pytest.fixture
async def plain(rabbitmq: RabbitMQ, captured_streams: Captured) -> AsyncIterator[AbstractConnection]:
    """A robust connection that is not wrapped."""
    async with await aio_pika.connect_robust(rabbitmq.url) as connection:
        yield connection


@contextmanager
def instrumented() -> Iterator[None]:
    asyncdsm.instrument("aio_pika")
    try:
        yield
    finally:
        asyncdsm.uninstrument("aio_pika")


@contextmanager
def traced_by_opentelemetry() -> Iterator[None]:
    instrumentor = AioPikaInstrumentor()
    instrumentor.instrument(skip_dep_check=True, tracer_provider=TRACES)
    try:
        yield
    finally:
        instrumentor.uninstrument()


async def there_and_back(channel: AbstractChannel, queue: AbstractQueue) -> dict[str, Any]:
    """Publish three messages and take one by callback, one by iterator, one by get: six checkpoints if all count."""
    seen, headers = Seen(), dict[str, Any]()

    async def callback(message: AbstractIncomingMessage) -> None:
        headers.update(message.headers)
        await message.ack()
        await seen.callback(message)

    for _ in range(3):
        await channel.default_exchange.publish(Message(b"body", headers={"h": "v"}), queue.name)
    await queue.get(no_ack=True)
    await channel.set_qos(prefetch_count=1)
    async with queue.iterator() as messages:
        async for message in messages:
            await message.ack()
            break
    tag = await queue.consume(callback)
    await seen.first(1)
    await queue.cancel(tag)
    return headers


def sent_and_read(captured: Captured) -> tuple[int, int]:
    """Return how many checkpoints there were, after a look at their parents."""
    sent, read = captured.produced(), captured.consumed()
    assert {made.parent for made in read} <= {made.hash for made in sent} | {0}
    return len(sent), len(read)


async def test_a_connection_and_what_it_makes(
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
    await there_and_back(channel, queue)
    assert sent_and_read(captured_streams) == (3, 3)


async def test_others_stay_as_they_are(plain: AbstractConnection, captured_streams: Captured, name: Name) -> None:
    wrapped = asyncdsm.wrap(await plain.channel())
    other = await plain.channel()
    queue = await other.declare_queue(name())
    await there_and_back(other, queue)
    assert captured_streams.checkpoints == []
    await there_and_back(wrapped, await wrapped.declare_queue(name()))
    assert sent_and_read(captured_streams) == (3, 3)


async def test_a_channel_and_what_it_has_already(
    plain: AbstractConnection, captured_streams: Captured, name: Name
) -> None:
    channel = await plain.channel()
    queue, exchange = await channel.declare_queue(name()), await channel.declare_exchange(name())
    await queue.bind(exchange, "key")
    asyncdsm.wrap(channel)
    await exchange.publish(Message(b"body"), "key")
    await queue.get(no_ack=True)
    await there_and_back(channel, queue)
    assert sent_and_read(captured_streams) == (4, 4)


async def test_one_exchange_alone(plain: AbstractConnection, captured_streams: Captured, name: Name) -> None:
    channel = await plain.channel()
    queue = await channel.declare_queue(name())
    asyncdsm.wrap(channel.default_exchange)
    await there_and_back(channel, queue)
    assert sent_and_read(captured_streams) == (3, 0)


async def test_one_queue_alone(plain: AbstractConnection, captured_streams: Captured, name: Name) -> None:
    channel = await plain.channel()
    queue = asyncdsm.wrap(await channel.declare_queue(name()))
    await there_and_back(channel, queue)
    assert sent_and_read(captured_streams) == (0, 3)


async def test_a_connection_that_is_not_robust(rabbitmq: RabbitMQ, captured_streams: Captured, name: Name) -> None:
    async with asyncdsm.wrap(await aio_pika.connect(rabbitmq.url)) as connection:
        channel = await connection.channel()
        await there_and_back(channel, await channel.declare_queue(name(), exclusive=True))
    assert sent_and_read(captured_streams) == (3, 3)


async def test_classes_of_the_users_own(rabbitmq: RabbitMQ, captured_streams: Captured, name: Name) -> None:
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
        await there_and_back(channel, queue)
    assert sent_and_read(captured_streams) == (3, 3)


@pytest.mark.parametrize("way", ["wrapped", "instrumented"])
async def test_an_exchange_class_that_does_more(
    rabbitmq: RabbitMQ, captured_streams: Captured, bare: AbstractChannel, name: Name, way: str
) -> None:
    """What it changes is sent and told, however it is followed; what it sends elsewhere has a context of its own."""
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


async def test_a_class_that_no_subclass_can_be_made_of(
    rabbitmq: RabbitMQ, captured_streams: Captured, name: Name, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left as it is, with a warning; the rest of the connection is followed."""

    class Particular(RobustQueue):
        def __init_subclass__(cls, *, reason: str) -> None:
            """Ask for a reason."""

    class OwnChannel(RobustChannel):
        QUEUE_CLASS = Particular

    class OwnConnection(RobustConnection):
        CHANNEL_CLASS = OwnChannel

    async with asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url, connection_class=OwnConnection)) as connection:
        channel = await connection.channel()
        await there_and_back(channel, await channel.declare_queue(name(), exclusive=True))
    assert sent_and_read(captured_streams) == (3, 0)
    assert any("cannot be followed by wrap()" in record.getMessage() for record in caplog.records)


async def test_names_that_are_members_of_an_enum(rabbitmq: RabbitMQ, captured_streams: Captured, name: Name) -> None:
    class Names(str, Enum):  # noqa: UP042  # unlike a StrEnum's, its members format as their names
        QUEUE = name()

    async with asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(Names.QUEUE, exclusive=True)
        await channel.default_exchange.publish(Message(b"body"), Names.QUEUE)
        await queue.get(no_ack=True)
    assert [made.topic for made in captured_streams.checkpoints] == [Names.QUEUE.value] * 2


async def test_all_of_them(plain: AbstractConnection, captured_streams: Captured, name: Name) -> None:
    before = [dict(vars(kind)) for kind in KINDS]
    channel = await plain.channel()
    queue = await channel.declare_queue(name())
    with instrumented():
        asyncdsm.instrument("aio_pika")  # again: nothing more
        await there_and_back(channel, queue)
        assert sent_and_read(captured_streams) == (3, 3)
        asyncdsm.wrap(channel)  # both: once
        captured_streams.clear()
        await there_and_back(channel, await channel.declare_queue(name()))
        assert sent_and_read(captured_streams) == (3, 3)
    assert [dict(vars(kind)) for kind in KINDS] == before
    captured_streams.clear()
    other = await plain.channel()
    await there_and_back(other, await other.declare_queue(name()))
    assert captured_streams.checkpoints == []


@pytest.mark.parametrize("way", ["ours inside", "ours outside", "wrapped before", "wrapped after"])
@pytest.mark.parametrize("robust", [True, False])
async def test_beside_opentelemetry(
    rabbitmq: RabbitMQ, captured_streams: Captured, name: Name, way: str, robust: bool
) -> None:
    """Its patches of the same methods stay in force, and ours count once, in either order."""
    before = [dict(vars(kind)) for kind in KINDS]
    connect: Any = aio_pika.connect_robust if robust else aio_pika.connect

    async def use(connection: AbstractConnection) -> None:
        channel = await connection.channel()
        headers = await there_and_back(channel, await channel.declare_queue(name(), exclusive=True))
        assert "traceparent" in headers
        assert sent_and_read(captured_streams) == (3, 3)

    async with await connect(rabbitmq.url) as connection:
        if way == "ours inside":
            with instrumented(), traced_by_opentelemetry():
                await use(connection)
        elif way == "ours outside":
            with traced_by_opentelemetry(), instrumented():
                await use(connection)
        elif way == "wrapped before":
            asyncdsm.wrap(connection)
            with traced_by_opentelemetry():
                await use(connection)
        else:
            with traced_by_opentelemetry():
                await use(asyncdsm.wrap(connection))
    assert [dict(vars(kind)) for kind in KINDS] == before


async def test_uninstrumented_below_another_wrapper_counts_nothing(
    plain: AbstractConnection, captured_streams: Captured, name: Name, restored_classes: None
) -> None:
    asyncdsm.instrument("aio_pika")
    with traced_by_opentelemetry():
        channel = await plain.channel()
        consuming = await channel.declare_queue(name(), exclusive=True)
        came = asyncio.Event()

        async def take(_: Any) -> None:
            came.set()

        await consuming.consume(take, no_ack=True)
        asyncdsm.uninstrument("aio_pika")
        await there_and_back(channel, await channel.declare_queue(name(), exclusive=True))
        await channel.default_exchange.publish(Message(b""), consuming.name)
        await came.wait()
        assert captured_streams.checkpoints == []
        asyncdsm.instrument("aio_pika")
        await there_and_back(channel, await channel.declare_queue(name(), exclusive=True))
        assert sent_and_read(captured_streams) == (3, 3)
        asyncdsm.uninstrument("aio_pika")
        await there_and_back(channel, await channel.declare_queue(name(), exclusive=True))
        assert sent_and_read(captured_streams) == (3, 3)


@pytest.fixture
def restored_classes() -> Iterator[None]:
    """Restore aio-pika's classes, which keep what two libraries took off in an order of their own."""
    before = [dict(vars(kind)) for kind in KINDS]
    yield
    for kind, own in zip(KINDS, before, strict=True):
        for method, function in own.items():
            if vars(kind).get(method) is not function:
                setattr(kind, method, function)


@pytest.mark.parametrize("make", [MagicMock, AsyncMock])
@pytest.mark.parametrize(
    "spec",
    [aio_pika.RobustConnection, AbstractRobustConnection, AbstractChannel, AbstractQueue, AbstractExchange, *KINDS],
    ids=lambda kind: kind.__name__,
)
def test_a_mock_comes_back_as_it_is(make: Any, spec: type, caplog: pytest.LogCaptureFixture) -> None:
    for mock in (make(spec=spec), make(spec_set=spec), create_autospec(spec, instance=True)):
        before = dict(vars(mock)), mock.mock_calls[:]
        assert asyncdsm.wrap(mock) is mock
        assert (dict(vars(mock)), mock.mock_calls[:]) == before
    assert caplog.records == []
