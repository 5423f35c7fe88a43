"""aio-pika: every message gets the right parent under concurrency, checked on the broker and at the agent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from time import time_ns
from typing import NamedTuple

import aio_pika
import httpx2
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

import asyncdsm
from asyncdsm import DataStreams, Pathway, Settings
from asyncdsm.agent.http.server import RunningAgent, running_agent
from asyncdsm.core.context import HEADER, node_hash, pathway_hash
from asyncdsm.streams import running_streams
from tests.brokers.rabbitmq import RabbitMQ

Name = Callable[[], str]


class Line(NamedTuple):
    """A pipeline with one context for each message, so that a wrong parent cannot look right."""

    agent: RunningAgent
    channel: AbstractChannel
    bare: AbstractChannel
    source: AbstractQueue
    target: AbstractQueue

    async def fill(self, count: int) -> None:
        """Put messages on the source, number n with the pathway hash n + 1."""
        for number in range(count):
            header = Pathway(number + 1, time_ns(), time_ns()).encode_base64()
            message = Message(b"%d" % number, headers={HEADER: header})
            await self.bare.default_exchange.publish(message, self.source.name)

    async def forward(self, message: AbstractIncomingMessage) -> None:
        """Do some work, then publish the message's body."""
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.random() / 100)
        await self.channel.default_exchange.publish(Message(message.body), self.target.name)

    async def check(self, count: int) -> None:
        """Compare every published message, and the agent's rows, with the parents that they must have."""
        consumed = node_hash("line", None, ("direction:in", f"topic:{self.source.name}", "type:rabbitmq"))
        published = node_hash("line", None, ("direction:out", f"topic:{self.target.name}", "type:rabbitmq"))
        ways = [pathway_hash(consumed, number + 1) for number in range(count)]
        expected = {b"%d" % number: pathway_hash(published, ways[number]) for number in range(count)}
        assert await self._on_broker(count) == expected
        streams = running_streams()
        assert streams is not None
        await streams.flush()
        async with httpx2.AsyncClient(base_url=self.agent.url) as client:
            shown = (await client.get("/api/topology")).json()
        rows = {
            (int(row["hash"]), int(row["parent"]))
            for row in shown["pathways"]
            if f"topic:{self.target.name}" in row["tags"]
        }
        assert rows == {(pathway_hash(published, way), way) for way in ways}

    async def _on_broker(self, count: int) -> dict[bytes, int]:
        found = {}
        async with (await self.bare.get_queue(self.target.name)).iterator(no_ack=True, timeout=10) as messages:
            async for message in messages:
                pathway = Pathway.decode_base64(str(message.headers[HEADER]))
                assert pathway is not None
                found[message.body] = pathway.hash
                if len(found) == count:
                    break
        return found


@pytest.fixture
async def line(rabbitmq: RabbitMQ, bare: AbstractChannel, name: Name) -> AsyncIterator[Line]:
    async with (
        running_agent() as agent,
        DataStreams(Settings(service="line", agent_url=agent.url)),
        asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url)) as connection,
    ):
        channel = await connection.channel()
        source, target = [await channel.declare_queue(name(), auto_delete=False) for _ in range(2)]
        yield Line(agent, channel, bare, source, target)


async def all_of(forwarding: set[asyncio.Task[None]], count: int, started: asyncio.Event) -> None:
    """Wait until `count` tasks have started, and all of them have ended."""
    async with asyncio.timeout(60):
        await started.wait()
        assert len(forwarding) == count
        await asyncio.gather(*forwarding)


@pytest.mark.parametrize("prefetch", [1, 500])
@pytest.mark.parametrize("count", [1, 2, 10, 100, 1000])
async def test_concurrent_callbacks_publish_with_their_own_parent(line: Line, count: int, prefetch: int) -> None:
    """All callbacks run at the same time: each acknowledges first, so that the next message comes."""
    await line.channel.set_qos(prefetch_count=prefetch)
    await line.fill(count)
    running: set[asyncio.Task[None]] = set()
    all_started, most, active = asyncio.Event(), 0, 0

    async def callback(message: AbstractIncomingMessage) -> None:
        nonlocal most, active
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        active += 1
        most = max(most, active)
        await message.ack()
        if len(running) == count:
            all_started.set()
        await all_started.wait()
        await line.forward(message)
        active -= 1

    tag = await line.source.consume(callback)
    await all_of(running, count, all_started)
    await line.source.cancel(tag)
    assert most == count
    await line.check(count)


@pytest.mark.parametrize("prefetch", [1, 500])
@pytest.mark.parametrize("count", [1, 2, 10, 100, 1000])
async def test_tasks_started_from_an_iterator_publish_with_their_own_parent(
    line: Line, count: int, prefetch: int
) -> None:
    await line.channel.set_qos(prefetch_count=prefetch)
    await line.fill(count)
    seen = 0
    async with asyncio.timeout(60), line.source.iterator() as messages, asyncio.TaskGroup() as tasks:
        async for message in messages:
            await message.ack()
            tasks.create_task(line.forward(message))
            seen += 1
            if seen == count:
                break
    await line.check(count)


@pytest.mark.parametrize("prefetch", [1, 500])
async def test_plain_loop_over_an_iterator_publishes_with_the_right_parent(line: Line, prefetch: int) -> None:
    await line.channel.set_qos(prefetch_count=prefetch)
    await line.fill(50)
    seen = 0
    async with asyncio.timeout(60), line.source.iterator() as messages:
        async for message in messages:
            async with message.process():
                await line.forward(message)
            seen += 1
            if seen == 50:
                break
    await line.check(50)


async def test_concurrent_gets_publish_with_their_own_parent(line: Line) -> None:
    async def work() -> None:
        message = await line.source.get(no_ack=True)
        assert message is not None
        await line.forward(message)

    await line.fill(100)
    await asyncio.gather(*[work() for _ in range(100)])
    await line.check(100)
