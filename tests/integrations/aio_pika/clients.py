"""Shared by the tests of aio-pika: ways to publish and to consume, and a callback that remembers what it got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aio_pika import Exchange, Message, Queue, RobustExchange, RobustQueue
from aio_pika.abc import (
    AbstractChannel,
    AbstractIncomingMessage,
    AbstractQueue,
)
from aio_pika.queue import QueueIterator
from aio_pika.robust_queue import RobustQueueIterator
from opentelemetry.instrumentation.aio_pika import AioPikaInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import asyncdsm
from asyncdsm import Pathway, current_pathway
from asyncdsm.testing import Captured

Name = Callable[[], str]

KINDS = (Exchange, RobustExchange, Queue, RobustQueue, QueueIterator, RobustQueueIterator)

TRACES = TracerProvider()  # made at import: it reads files about the machine, which would block the loop


class Seen:
    """The messages and pathways that callbacks got, and a way to wait for them."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Pathway | None]] = []
        self._changed = asyncio.Condition()

    async def callback(self, message: AbstractIncomingMessage) -> None:
        await self.take(message.body, current_pathway())

    async def take(self, body: bytes, pathway: Pathway | None) -> None:
        async with self._changed:
            self.messages.append((body, pathway))
            self._changed.notify_all()

    async def first(self, count: int) -> list[Pathway | None]:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.messages) >= count)
        return [pathway for _, pathway in self.messages]


async def publish(channel: AbstractChannel, queue: AbstractQueue, *bodies: bytes, **options: Any) -> None:
    for body in bodies or (b"body",):
        await channel.default_exchange.publish(Message(body, **options), queue.name)


def hashes(made: list[Any]) -> list[int]:
    return [each.hash for each in made]


@contextmanager
def instrumented() -> Iterator[None]:
    asyncdsm.instrument("aio_pika")
    try:
        yield
    finally:
        asyncdsm.uninstrument("aio_pika")


@contextmanager
def opentelemetry_instrumented() -> Iterator[None]:
    instrumentor = AioPikaInstrumentor()
    instrumentor.instrument(skip_dep_check=True, tracer_provider=TRACES)
    try:
        yield
    finally:
        instrumentor.uninstrument()


async def publish_and_consume_three(channel: AbstractChannel, queue: AbstractQueue) -> dict[str, Any]:
    """Publish three messages; consume one by callback, one by iterator, one by `get`. Return the headers of one."""
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


def count_checkpoints(captured: Captured) -> tuple[int, int]:
    """Check the parents of all checkpoints; return how many were produced and consumed."""
    sent, read = captured.produced(), captured.consumed()
    assert {made.parent for made in read} <= {made.hash for made in sent} | {0}
    return len(sent), len(read)
