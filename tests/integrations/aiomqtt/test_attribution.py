"""aiomqtt: every message gets the right parent under concurrency, checked on the wire."""

from __future__ import annotations

import asyncio
import random
from time import time_ns

import pytest
from aiomqtt import Client, Message

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, node_hash, pathway_hash
from asyncdsm.testing import Captured
from tests.integrations.aiomqtt.clients import Name, context_of, end_tasks, make_properties, take
from tests.integrations.lines import handle_in_tasks

COUNTS = [1, 2, 10, 100, 1000]


class Line:
    """A pipeline with one context for each message, so that a wrong parent cannot look right."""

    def __init__(self, client: Client, bare: Client, name: Name) -> None:
        self.client, self.bare = client, bare
        self.source, self.target = name(), name()
        self.client.pending_calls_threshold = 2000
        self.bare.pending_calls_threshold = 2000

    async def listen(self) -> None:
        """Subscribe at both ends."""
        await self.bare.subscribe(self.target, qos=1)
        await self.client.subscribe(self.source, qos=1)

    async def fill(self, count: int) -> None:
        """Publish messages to the source, number n with the pathway hash n + 1."""
        for number in range(count):
            context = Pathway(number + 1, time_ns(), time_ns()).encode_base64()
            await self.bare.publish(self.source, b"%d" % number, properties=make_properties((HEADER, context)))

    async def forward(self, message: Message) -> None:
        """Do some work, then publish the message's body."""
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.random() / 100)
        await self.client.publish(self.target, message.payload, qos=random.randrange(2))

    async def check(self, count: int) -> None:
        """Compare every published message with the parent that it must have."""
        consumed = node_hash("test", None, ("direction:in", f"topic:{self.source}", "type:mqtt"))
        published = node_hash("test", None, ("direction:out", f"topic:{self.target}", "type:mqtt"))
        found = dict[object, int]()
        for message in await take(self.bare, count):
            pathway = Pathway.decode_base64(context_of(message))
            assert pathway is not None
            found[message.payload] = pathway.hash
        assert found == {
            b"%d" % number: pathway_hash(published, pathway_hash(consumed, number + 1)) for number in range(count)
        }


@pytest.mark.parametrize("count", COUNTS)
async def test_tasks_of_one_reader_publish_with_their_own_parent(
    client: Client, bare: Client, name: Name, count: int
) -> None:
    line = Line(client, bare, name)
    await line.listen()
    await line.fill(count)
    await handle_in_tasks(client.messages, count, line.forward)
    await line.check(count)


@pytest.mark.parametrize("count", COUNTS)
async def test_concurrent_readers_publish_with_their_own_parent(
    client: Client, bare: Client, name: Name, count: int
) -> None:
    line = Line(client, bare, name)
    await line.listen()

    async def read() -> None:
        async for message in client.messages:
            await line.forward(message)

    readers = [asyncio.create_task(read()) for _ in range(min(count, 10))]
    await line.fill(count)
    await line.check(count)
    await end_tasks(readers)


async def test_messages_handed_to_workers_keep_their_parent_by_using(client: Client, bare: Client, name: Name) -> None:
    line = Line(client, bare, name)
    await line.listen()
    queue = asyncio.Queue[Message]()

    async def work() -> None:
        while True:
            message = await queue.get()
            with asyncdsm.using(message):
                await line.forward(message)

    workers = [asyncio.create_task(work()) for _ in range(10)]
    await line.fill(200)
    for message in await take(client, 200):
        queue.put_nowait(message)
    await line.check(200)
    await end_tasks(workers)


async def test_no_pathway_is_left_after_a_message(client: Client, captured_streams: Captured, name: Name) -> None:
    await client.subscribe(topic := name())
    await client.publish(topic, b"1")
    await take(client)
    assert asyncdsm.current_pathway() is not None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(client.messages), 0.01)
    assert asyncdsm.current_pathway() is None
    assert [made.parent == 0 for made in captured_streams.checkpoints] == [True, False]
