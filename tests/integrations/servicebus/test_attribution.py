"""azure-servicebus: every message gets the right parent under concurrency, checked on the wire."""

from __future__ import annotations

import asyncio
import random
from time import time_ns
from typing import Any
from uuid import uuid4

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, node_hash, pathway_hash
from asyncdsm.testing import Captured
from tests.integrations.lines import handle_in_tasks
from tests.integrations.servicebus.clients import Links, context_of

COUNTS = [1, 2, 10, 100, 1000]
BATCH = 100


class Line:
    """A pipeline with one context for each message, so that a wrong parent cannot look right.

    Its links serve all tests: each takes everything from both queues.
    """

    def __init__(self, names: tuple[str, str], handlers: tuple[Any, ...]) -> None:
        self._source, self._target = names
        self._filler, self.receiver, self._sender, self._checker = handlers
        self._turn = asyncio.Lock()  # the client's sender cannot be used by two tasks at once

    async def fill(self, count: int) -> None:
        """Send messages to the source, number n with the pathway hash n + 1."""
        for first in range(0, count, BATCH):
            await self._filler.send_messages(
                [
                    ServiceBusMessage(
                        str(number),
                        application_properties={HEADER: Pathway(number + 1, time_ns(), time_ns()).encode_base64()},
                    )
                    for number in range(first, min(first + BATCH, count))
                ]
            )

    async def forward(self, message: Any) -> None:
        """Do some work, then send the message's body."""
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.random() / 100)
        async with self._turn:
            await self._sender.send_messages(ServiceBusMessage(str(message)))

    async def check(self, count: int) -> None:
        """Compare every message that was sent with the parent that it must have."""
        consumed = node_hash("test", None, ("direction:in", f"topic:{self._source}", "type:servicebus"))
        sent = node_hash("test", None, ("direction:out", f"topic:{self._target}", "type:servicebus"))
        found = dict[int, int]()
        async with asyncio.timeout(30):
            while len(found) < count:
                for message in await self._checker.receive_messages(count, max_wait_time=5):
                    found[int(str(message))] = getattr(context_of(message), "hash", 0)
        assert found == {number: pathway_hash(sent, pathway_hash(consumed, number + 1)) for number in range(count)}


@pytest.fixture(scope="module")
async def shared_line(client: ServiceBusClient, bare: ServiceBusClient, links: Links) -> Line:
    """The line of all tests."""
    names = source, target = f"s{uuid4().hex[:10]}", f"t{uuid4().hex[:10]}"
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    handlers = await links.open(
        bare.get_queue_sender(source),
        client.get_queue_receiver(source, receive_mode=mode),
        client.get_queue_sender(target),
        bare.get_queue_receiver(target, receive_mode=mode),
    )
    return Line(names, handlers)


@pytest.fixture
def line(shared_line: Line, captured_streams: Captured) -> Line:
    """The line, followed by a recorder of the test's own."""
    return shared_line


@pytest.mark.parametrize("count", COUNTS)
async def test_tasks_of_an_iterator_send_with_their_own_parent(line: Line, count: int) -> None:
    await line.fill(count)
    await handle_in_tasks(line.receiver, count, line.forward)
    await line.check(count)


@pytest.mark.parametrize("count", COUNTS)
async def test_messages_of_batches_send_with_their_own_parent(line: Line, count: int) -> None:
    await line.fill(count)
    done = 0
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        while done < count:
            for message in await line.receiver.receive_messages(BATCH, max_wait_time=5):
                if done % 10:
                    tasks.create_task(line.forward(message))
                else:
                    await line.forward(message)
                done += 1
    await line.check(count)


async def test_messages_handed_to_workers_keep_their_parent_by_using(line: Line) -> None:
    queue = asyncio.Queue[Any]()

    async def work() -> None:
        while True:
            message = await queue.get()
            with asyncdsm.using(message):
                await line.forward(message)

    workers = [asyncio.create_task(work()) for _ in range(10)]
    await line.fill(100)
    taken = 0
    while taken < 100:
        messages = await line.receiver.receive_messages(100, max_wait_time=5)
        taken += len(messages)
        for message in messages:
            queue.put_nowait(message)
    await line.check(100)
    for worker in workers:
        worker.cancel()
