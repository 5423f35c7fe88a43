"""nats-py: every message gets the right parent under concurrency, checked on the wire."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import time_ns
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, node_hash, pathway_hash
from asyncdsm.testing import Captured
from tests.integrations.lines import handle_in_tasks
from tests.integrations.nats.clients import Name, flush

COUNTS = [1, 2, 10, 100, 1000]


class Line:
    """A pipeline with one context for each message, so that a wrong parent cannot look right."""

    def __init__(self, client: Client, bare: Client, name: Name, group: str = "") -> None:
        self.client, self.bare = client, bare
        self.source, self.target, self._group = name(), name(), group
        self._found: dict[bytes, int] = {}

    async def listen(self) -> None:
        """Note what is published to the target."""

        async def note(message: Msg) -> None:
            pathway = Pathway.decode_base64((message.headers or {})[HEADER])
            assert pathway is not None
            self._found[message.data] = pathway.hash

        await self.bare.subscribe(self.target, cb=note)
        await flush(self.bare)

    async def fill(self, count: int, publish: Callable[..., Awaitable[Any]] | None = None) -> None:
        """Publish messages to the source, number n with the pathway hash n + 1."""
        for number in range(count):
            headers = {HEADER: Pathway(number + 1, time_ns(), time_ns()).encode_base64()}
            await (publish or self.bare.publish)(self.source, b"%d" % number, headers=headers)
        await flush(self.bare)

    async def forward(self, message: Msg) -> None:
        """Do some work, then publish the message's body."""
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.random() / 100)
        await self.client.publish(self.target, message.data)

    async def check(self, count: int) -> None:
        """Compare every published message with the parent that it must have."""
        group = (f"group:{self._group}",) if self._group else ()
        consumed = node_hash("test", None, ("direction:in", *group, f"topic:{self.source}", "type:nats"))
        published = node_hash("test", None, ("direction:out", f"topic:{self.target}", "type:nats"))
        async with asyncio.timeout(30):
            while len(self._found) < count:
                await asyncio.sleep(0.01)
        assert self._found == {
            b"%d" % number: pathway_hash(published, pathway_hash(consumed, number + 1)) for number in range(count)
        }


@pytest.mark.parametrize("count", COUNTS)
async def test_tasks_of_a_callback_publish_with_their_own_parent(
    client: Client, bare: Client, name: Name, count: int
) -> None:
    line = Line(client, bare, name, "workers")
    await line.listen()
    tasks = set[asyncio.Task[None]]()

    async def callback(message: Msg) -> None:
        tasks.add(asyncio.create_task(line.forward(message)))

    for _ in range(3):
        await client.subscribe(line.source, queue="workers", cb=callback)
    await flush(client)
    await line.fill(count)
    await line.check(count)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("count", COUNTS)
async def test_tasks_of_an_iterator_publish_with_their_own_parent(
    client: Client, bare: Client, name: Name, count: int
) -> None:
    line = Line(client, bare, name)
    await line.listen()
    subscription = await client.subscribe(line.source)
    await flush(client)
    await line.fill(count)
    await handle_in_tasks(subscription.messages, count, line.forward)
    await line.check(count)


@pytest.mark.parametrize("count", COUNTS)
async def test_messages_of_batches_publish_with_their_own_parent(
    client: Client, bare: Client, js: JetStreamContext, name: Name, count: int
) -> None:
    line = Line(client, bare, name, "worker")
    await line.listen()
    await js.add_stream(name=name(), subjects=[line.source])
    await line.fill(count, bare.jetstream().publish)
    subscription = await js.pull_subscribe(line.source, durable="worker")
    done = 0
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        while done < count:
            for message in await subscription.fetch(100, timeout=5):
                await message.ack()
                if done % 2:
                    await line.forward(message)
                else:
                    tasks.create_task(line.forward(message))
                done += 1
    await line.check(count)


async def test_messages_handed_to_workers_keep_their_parent_by_using(client: Client, bare: Client, name: Name) -> None:
    line = Line(client, bare, name)
    await line.listen()
    queue = asyncio.Queue[Msg]()
    await client.subscribe(line.source, cb=queue.put)
    await flush(client)

    async def work() -> None:
        while True:
            message = await queue.get()
            with asyncdsm.using(message):
                await line.forward(message)

    workers = [asyncio.create_task(work()) for _ in range(10)]
    await line.fill(200)
    await line.check(200)
    for worker in workers:
        worker.cancel()


async def test_no_pathway_is_left_after_a_message(client: Client, captured_streams: Captured, name: Name) -> None:
    subject = name()
    subscription = await client.subscribe(subject)
    await client.publish(subject, b"1")
    await subscription.next_msg()
    assert asyncdsm.current_pathway() is not None
    with pytest.raises(TimeoutError):
        await subscription.next_msg(timeout=0.01)
    assert asyncdsm.current_pathway() is None
    assert [made.parent == 0 for made in captured_streams.checkpoints] == [True, False]
