"""RabbitMQ is killed and restarted under load: each delivery is counted once."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import suppress

import aio_pika
import pytest
from aio_pika import DeliveryMode, Message, RobustQueue
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection
from aiormq.exceptions import AMQPError

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.rabbitmq import RabbitMQ, rabbitmq
from tests.intake import Intake, counted, running_intake

MESSAGES, KILLS, PUBLISHERS = 20_000, 5, 100
NEARLY_ALL = 0.99 * MESSAGES  # a killed RabbitMQ may lose some messages that it had confirmed
QUEUE, QUIET_SECONDS = "orders", 7.0
UNREACHABLE = (AMQPError, OSError, RuntimeError, asyncio.CancelledError)
"""What aio-pika raises when the connection is lost. A robust one reconnects by itself."""


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: one that acknowledges takes the first time for a lost connection."""
    for _ in range(20):
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=0.5)
        if not tasks:
            return
    raise TimeoutError(f"{len(tasks)} tasks go on")


class Run:
    """Publishes every number until it is confirmed, consumes all of them, and keeps its own counts."""

    def __init__(self) -> None:
        self.confirmed = 0
        self.delivered = Counter[bytes]()
        self.deliveries = 0
        self.callbacks: list[object] = []
        self._todo = deque(range(MESSAGES))
        self._connection: AbstractRobustConnection | None = None

    async def publish(self, connection: AbstractRobustConnection) -> None:
        channel = await connection.channel()
        while self._todo and connection is self._connection:
            number = self._todo.popleft()
            message = Message(b"%d" % number, delivery_mode=DeliveryMode.PERSISTENT)
            try:
                await channel.default_exchange.publish(message, QUEUE, timeout=10)
                self.confirmed += 1
            except UNREACHABLE:
                self._todo.append(number)
                await asyncio.sleep(0.05)

    async def take(self, message: AbstractIncomingMessage) -> None:
        self.deliveries += 1
        self.delivered[message.body] += 1
        with suppress(*UNREACHABLE):  # the broker that waits for it is gone, and will deliver again
            await message.ack()

    async def iterate(self, connection: AbstractRobustConnection) -> None:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        async with (await channel.declare_queue(QUEUE, durable=True)).iterator() as messages:
            async for message in messages:
                await self.take(message)

    async def work(self, url: str) -> None:
        """Publish and consume until all is done. If aio-pika does not reconnect, connect again."""
        while self.confirmed < MESSAGES or len(self.delivered) < NEARLY_ALL:
            connection = self._connection = asyncdsm.wrap(await connected(url))
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=100)
            queue = await channel.declare_queue(QUEUE, durable=True)
            await queue.consume(self.take)
            tasks = [asyncio.create_task(self.publish(connection)) for _ in range(PUBLISHERS)]
            tasks.append(asyncio.create_task(self.iterate(connection)))
            await self._still()
            assert isinstance(queue, RobustQueue)
            self.callbacks += [consumer["callback"] for consumer in queue._consumers.values()]
            self._connection = None
            await end(tasks)
            with suppress(*UNREACHABLE):
                async with asyncio.timeout(5):
                    await connection.close()

    async def _still(self) -> None:
        """Wait until nothing has happened for longer than the broker takes to restart."""
        before = (-1, -1)
        while before != (self.confirmed, self.deliveries):
            before = self.confirmed, self.deliveries
            await asyncio.sleep(QUIET_SECONDS)

    async def reached(self, share: float) -> None:
        while len(self.delivered) < MESSAGES * share:
            await asyncio.sleep(0.01)


async def connected(url: str) -> AbstractRobustConnection:
    """Return a robust connection, once there is a broker."""
    while True:
        try:
            return await aio_pika.connect_robust(url, reconnect_interval=0.2)
        except UNREACHABLE:
            await asyncio.sleep(0.2)


@pytest.fixture
def broker() -> Iterator[RabbitMQ]:
    """A RabbitMQ for this test alone."""
    with rabbitmq() as broker:
        yield broker


@pytest.fixture
def intake() -> Iterator[Intake]:
    """An agent's intake that keeps the payloads."""
    with running_intake() as intake:
        yield intake


async def test_each_delivery_counts_once_while_the_broker_restarts(
    broker: RabbitMQ, intake: Intake, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # aio-pika logs a lot about lost connections
    run = Run()
    async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
        working = asyncio.create_task(run.work(broker.url))
        for kill in range(KILLS):
            async with asyncio.timeout(45):
                await run.reached((kill + 0.5) / KILLS)
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
        async with asyncio.timeout(60):
            await working
        await streams.flush()
    assert run.callbacks
    assert {wrappers_around(callback, run.take) for callback in run.callbacks} == {1}
    assert len(run.delivered) >= NEARLY_ALL
    assert run.deliveries > len(run.delivered)  # messages that were not acknowledged came again
    assert counted(intake.payloads, "direction:in") == run.deliveries
    assert counted(intake.payloads, "direction:out") == run.confirmed == MESSAGES
    assert streams.stats.errors == streams.stats.dropped == 0


def wrappers_around(callback: object, inner: object) -> int:
    """Return how many wrappers there are around the user's function."""
    for depth in range(10):
        if callback == inner:
            return depth
        cells = getattr(callback, "__closure__", None) or ()
        (callback,) = [cell.cell_contents for cell in cells if callable(cell.cell_contents)]
    raise AssertionError("wrapped ten times")
