"""Shared by the tests of azure-eventhub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER

Name = Callable[[], str]
PARTITIONS = "0", "1"


class Clients:
    """Clients of event hubs, closed with the test."""

    def __init__(self, connection_string: str, hub: str, closing: AsyncExitStack) -> None:
        self.connection_string, self.hub, self._closing = connection_string, hub, closing

    def bare_producer(self, hub: str = "", **options: Any) -> EventHubProducerClient:
        """Make a producer client that is not followed."""
        made = EventHubProducerClient.from_connection_string(
            self.connection_string, eventhub_name=hub or self.hub, retry_total=0, **options
        )
        self._closing.push_async_callback(made.close)
        return made

    def producer(self, hub: str = "", **options: Any) -> EventHubProducerClient:
        """Make a producer client that is wrapped."""
        return asyncdsm.wrap(self.bare_producer(hub, **options))

    def bare_consumer(self, hub: str = "", group: str = "$Default") -> EventHubConsumerClient:
        """Make a consumer client that is not followed."""
        made = EventHubConsumerClient.from_connection_string(
            self.connection_string, group, eventhub_name=hub or self.hub, retry_total=0
        )
        self._closing.push_async_callback(made.close)
        return made

    def consumer(self, hub: str = "", group: str = "$Default") -> EventHubConsumerClient:
        """Make a consumer client that is wrapped."""
        return asyncdsm.wrap(self.bare_consumer(hub, group))

    async def read(self, count: int, hub: str = "") -> list[EventData]:
        """Return the first events of a hub, as a bare client gets them. Below `receive`, since that ends slowly."""
        found = list[EventData]()
        client: Any = self.bare_consumer(hub)

        async def note(events: Any) -> None:
            found.extend(events)

        consumers = [client._create_consumer("$Default", each, "-1", note) for each in PARTITIONS]
        running = asyncio.gather(*(each.receive(batch=True) for each in consumers))
        await until(lambda: len(found) >= count)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in consumers))
        return found


@asynccontextmanager
async def receiving(coroutine: Any) -> AsyncIterator[None]:
    """Let a consumer receive for as long as the block lasts. Its own end takes the client a second, so nobody waits."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(is_done: Callable[[], Any], seconds: float = 30) -> None:
    """Wait until something is the case."""
    async with asyncio.timeout(seconds):
        while not is_done():
            await asyncio.sleep(0.01)


def context_of(event: Any) -> Pathway | None:
    """Return the pathway that a received event carries, as it is on the wire."""
    header = (event.properties or {}).get(HEADER.encode())
    return None if header is None else Pathway.decode_base64(header)


def hash_of(event: Any) -> int:
    """Return the hash of the pathway that a received event carries; 0 without one."""
    pathway = context_of(event)
    return 0 if pathway is None else pathway.hash
