"""Events of Azure Event Hubs: a watch reads what sensors send, and sends alarms.

DD_SERVICE=watch EVENTHUBS='Endpoint=sb://…' python -m examples.clients.eventhub_alarms watch
DD_SERVICE=sensors EVENTHUBS='Endpoint=sb://…' python -m examples.clients.eventhub_alarms sensors

The namespace has the event hubs `readings` and `alarms`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

import asyncdsm

READINGS = 20

Handle = Callable[[Any], Awaitable[None]]


def producer(hub: str) -> EventHubProducerClient:
    """Make a client that sends to a hub."""
    made = EventHubProducerClient.from_connection_string(os.environ["EVENTHUBS"], eventhub_name=hub)
    return asyncdsm.wrap(made)


async def read(hub: str, handle: Handle) -> None:
    """Handle the first twenty events of a hub."""
    client = asyncdsm.wrap(
        EventHubConsumerClient.from_connection_string(os.environ["EVENTHUBS"], "$Default", eventhub_name=hub)
    )
    seen, done = 0, asyncio.Event()

    async def on_event(_context: Any, event: Any) -> None:
        nonlocal seen
        await handle(event)
        seen += 1
        if seen == READINGS:
            done.set()

    receiving = asyncio.create_task(client.receive(on_event, starting_position="-1"))
    await done.wait()
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    await client.close()


async def watch() -> None:
    """Send an alarm for each reading. The parent of the alarm is the reading."""
    async with producer("alarms") as alarms:

        async def raise_alarm(reading: Any) -> None:
            await alarms.send_event(EventData(f"alarm: {reading.body_as_str()}"))
            print(f"{reading.body_as_str()} is too hot", flush=True)

        await read("readings", raise_alarm)


async def sensors() -> None:
    """Send twenty readings in a batch, and wait for the alarms."""

    async def note(_alarm: Any) -> None:
        pass

    async with producer("readings") as readings:
        batch = await readings.create_batch()
        for number in range(READINGS):
            batch.add(EventData(f"reading {number}"))
        await readings.send_batch(batch)
    await read("alarms", note)


async def main(work: str) -> None:
    """Do the work of one service."""
    async with asyncdsm.DataStreams():
        await {"watch": watch, "sensors": sensors}[work]()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
