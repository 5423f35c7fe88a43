"""Shared by the tests of azure-eventhub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER

Name = Callable[[], str]
PARTITIONS = "0", "1"


class Endings:
    """What is closed after the tests of a module, all at once: each takes the client a second or two of sleep."""

    def __init__(self) -> None:
        self._endings = list[Callable[[], Awaitable[Any]]]()

    def add(self, close: Callable[[], Awaitable[Any]]) -> None:
        """Note what closes something."""
        self._endings.append(close)

    async def await_all(self) -> None:
        """Close everything."""
        await asyncio.gather(*(close() for close in self._endings))


class Clients:
    """Clients of event hubs, closed with the module's tests."""

    def __init__(self, connection_string: str, hub: str, endings: Endings) -> None:
        self.connection_string, self.hub, self._endings = connection_string, hub, endings

    def bare_producer(self, hub: str = "", **options: Any) -> EventHubProducerClient:
        """Make a producer client that is not followed."""
        made = EventHubProducerClient.from_connection_string(
            self.connection_string, eventhub_name=hub or self.hub, retry_total=0, **options
        )
        self._endings.add(made.close)
        return made

    def producer(self, hub: str = "", **options: Any) -> EventHubProducerClient:
        """Make a producer client that is wrapped."""
        return asyncdsm.wrap(self.bare_producer(hub, **options))

    def bare_consumer(self, hub: str = "", group: str = "$Default") -> EventHubConsumerClient:
        """Make a consumer client that is not followed."""
        made = EventHubConsumerClient.from_connection_string(
            self.connection_string, group, eventhub_name=hub or self.hub, retry_total=0
        )
        self._endings.add(made.close)
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
        for each in consumers:
            self._endings.add(each.close)
        return found

    @asynccontextmanager
    async def receiving(self, coroutine: Any, *, awaits_end: bool = False) -> AsyncIterator[None]:
        """Let a consumer receive for as long as the block lasts; `awaits_end`: until it has closed its partitions."""
        task = asyncio.create_task(coroutine)
        try:
            yield
        finally:
            task.cancel()
            if awaits_end:
                await asyncio.wait([task])
            else:
                self._endings.add(lambda: asyncio.wait([task]))


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
