"""azure-eventhub: every event gets the right parent under concurrency, checked on the wire."""

from __future__ import annotations

import asyncio
import random
from time import time_ns
from typing import Any

import pytest
from azure.eventhub import EventData

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, node_hash, pathway_hash
from asyncdsm.testing import Captured
from tests.integrations.eventhub.clients import Clients, Name, hash_of, until

COUNTS = [1, 2, 10, 100, 1000]


async def ignore(*_of_an_event: Any) -> None:
    """Do nothing when events have been sent."""


BUFFERED: Any = {"buffered_mode": True, "on_success": ignore, "on_error": ignore, "max_wait_time": 0.5}


def make_event(number: int) -> EventData:
    """Make an event with a context of its own, so that a wrong parent cannot look right: the hash n + 1."""
    event = EventData(str(number))
    event.properties = {HEADER: Pathway(number + 1, time_ns(), time_ns()).encode_base64()}
    return event


class Line:
    """Sends on what it gets, under the number of each event."""

    def __init__(self, clients: Clients, target: str, *, is_buffered: bool) -> None:
        self._clients, self._target = clients, target
        self._producer = clients.producer(target, **(BUFFERED if is_buffered else {}))
        self._is_buffered = is_buffered
        self.tasks = list[asyncio.Task[None]]()

    def hand_over(self, event: EventData) -> None:
        """Let a task of its own send the event on."""
        self.tasks.append(asyncio.create_task(self.forward(event)))

    async def forward(self, event: EventData) -> None:
        """Do some work, then send the event's body."""
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.random() / 100)
        if self._is_buffered:
            await self._producer.send_event(EventData(event.body_as_str()))
            return
        batch = await self._producer.create_batch()
        batch.add(EventData(event.body_as_str()))
        await self._producer.send_batch(batch)

    async def finish(self, count: int) -> None:
        """Wait until `count` events were sent on."""
        await until(lambda: len(self.tasks) == count)
        await asyncio.gather(*self.tasks)
        await self._producer.flush()

    async def check(self, count: int) -> None:
        """Compare every event that was sent with the parent that it must have."""
        tags = ("direction:in", "group:$Default", f"topic:{self._clients.hub}", "type:eventhubs")
        consumed = node_hash("test", None, tags)
        sent = node_hash("test", None, ("direction:out", f"topic:{self._target}", "type:eventhubs"))
        found = {int(event.body_as_str()): hash_of(event) for event in await self._clients.read(count, self._target)}
        assert found == {number: pathway_hash(sent, pathway_hash(consumed, number + 1)) for number in range(count)}


@pytest.mark.parametrize("method", ["receive", "receive_batch"])
async def test_events_are_sent_on_with_their_own_parent(
    clients: Clients, captured_streams: Captured, name: Name, method: str
) -> None:
    line = Line(clients, name(), is_buffered=method == "receive")

    async def on_event(_context: Any, event: EventData) -> None:
        line.hand_over(event)

    async def on_event_batch(_context: Any, events: list[EventData]) -> None:
        for event in events:
            line.hand_over(event)
            await asyncio.sleep(0)

    producer, done = clients.bare_producer(), 0
    callback: Any = {"receive": on_event, "receive_batch": on_event_batch}[method]
    receive = getattr(clients.consumer(), method)(callback, partition_id="0", starting_position="-1")
    async with clients.receiving(receive):
        for count in COUNTS:
            await producer.send_batch([make_event(done + number) for number in range(count)], partition_id="0")
            done += count
            await line.finish(done)
        await line.check(done)
    assert asyncdsm.current_pathway() is None
