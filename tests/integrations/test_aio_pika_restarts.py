"""RabbitMQ killed and started again under load: each delivery is counted, once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import aio_pika
import pytest
from aio_pika import DeliveryMode, Message, RobustQueue
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection
from aiormq.exceptions import AMQPError

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.sketch import Sketch
from tests.brokers.rabbitmq import RabbitMQ, rabbitmq
from tests.intake import Intake, running_intake

MESSAGES, KILLS, PUBLISHERS = 20_000, 5, 100
QUEUE, QUIET_SECONDS = "orders", 2.0
UNREACHABLE = (AMQPError, OSError, RuntimeError, asyncio.CancelledError)
"""What aio-pika raises where the connection is gone; a robust one comes back by itself."""


class Run:
    """Publishes every number until it is confirmed, consumes all, and counts by itself."""

    def __init__(self) -> None:
        self.confirmed = 0
        self.delivered = Counter[bytes]()
        self.deliveries = 0
        self._numbers = count()

    async def publish(self, connection: AbstractRobustConnection) -> None:
        channel = await connection.channel()
        for number in self._numbers:
            if number >= MESSAGES:
                return
            message = Message(b"%d" % number, delivery_mode=DeliveryMode.PERSISTENT)
            while True:
                try:
                    await channel.default_exchange.publish(message, QUEUE, timeout=10)
                    break
                except UNREACHABLE:
                    await asyncio.sleep(0.05)
            self.confirmed += 1

    async def take(self, message: AbstractIncomingMessage) -> None:
        self.deliveries += 1
        self.delivered[message.body] += 1
        with suppress(*UNREACHABLE):  # the broker that wants to know is gone: it will deliver again
            await message.ack()

    async def iterate(self, connection: AbstractRobustConnection) -> None:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        async with (await channel.declare_queue(QUEUE, durable=True)).iterator() as messages:
            async for message in messages:
                await self.take(message)

    async def drained(self) -> None:
        """Wait until nothing has come for a while: killed, RabbitMQ itself may lose some that it had confirmed."""
        before = -1
        while before != self.deliveries:
            before = self.deliveries
            await asyncio.sleep(QUIET_SECONDS)

    async def reached(self, share: float) -> None:
        async with asyncio.timeout(60):
            while len(self.delivered) < MESSAGES * share:
                await asyncio.sleep(0.01)


def counted(intake: Intake, tag: str) -> int:
    """Return how many checkpoints with this tag the accepted payloads count."""
    points = [
        point
        for payload in intake.payloads
        for bucket in payload.stats or ()
        for point in bucket.stats or ()
        if tag in (point.edge_tags or ())
    ]
    return round(sum(Sketch.decode(point.pathway_latency).count for point in points))


@pytest.fixture
def broker() -> Iterator[RabbitMQ]:
    """A RabbitMQ of the test's own."""
    with rabbitmq() as broker:
        yield broker


@pytest.fixture
def intake() -> Iterator[Intake]:
    """An agent's intake that keeps what it gets."""
    with running_intake() as intake:
        yield intake


async def test_killed_and_started_again_five_times(
    broker: RabbitMQ, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # aio-pika tells at length what it lost
    run = Run()
    async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
        connection = asyncdsm.wrap(await aio_pika.connect_robust(broker.url, reconnect_interval=0.2))
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        queue = await channel.declare_queue(QUEUE, durable=True)
        await queue.consume(run.take)
        iterating = asyncio.create_task(run.iterate(connection))
        publishing = [asyncio.create_task(run.publish(connection)) for _ in range(PUBLISHERS)]
        for kill in range(KILLS):
            await run.reached((kill + 0.5) / KILLS)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
        async with asyncio.timeout(120):
            await asyncio.gather(*publishing)
            await run.drained()
        assert isinstance(queue, RobustQueue)
        callbacks = [consumer["callback"] for consumer in queue._consumers.values()]
        iterating.cancel()
        await asyncio.gather(iterating, return_exceptions=True)
        await connection.close()
        await streams.flush()
    assert len(callbacks) == 1
    assert wrappers_around(callbacks[0], run.take) == 1
    assert len(run.delivered) > 0.99 * MESSAGES
    assert run.deliveries > len(run.delivered)  # what was not acknowledged came again
    assert counted(intake, "direction:in") == run.deliveries
    assert counted(intake, "direction:out") == run.confirmed == MESSAGES
    assert streams.stats.errors == streams.stats.dropped == 0


def wrappers_around(callback: object, inner: object) -> int:
    """Return how many functions hold each other until the user's own is found."""
    for depth in range(10):
        if callback == inner:
            return depth
        cells = getattr(callback, "__closure__", None) or ()
        (callback,) = [cell.cell_contents for cell in cells if callable(cell.cell_contents)]
    raise AssertionError("wrapped ten times")
