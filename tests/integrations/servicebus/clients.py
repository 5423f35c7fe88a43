"""Shared by the tests of azure-servicebus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured

Name = Callable[[], str]


class Pair:
    """A sender and a receiver of one queue."""

    def __init__(self, sender: Any, receiver: Any, queue: str) -> None:
        self.sender, self.receiver, self.queue = sender, receiver, queue

    async def receive(self, count: int = 1) -> list[ServiceBusReceivedMessage]:
        """Receive and complete some messages, and return them as the bare client would."""
        found = list[ServiceBusReceivedMessage]()
        async with asyncio.timeout(10):
            while len(found) < count:
                found += list(await self.receiver.receive_messages(count - len(found), max_wait_time=5))
        await asyncio.gather(*map(self.receiver.complete_message, found))
        return found


class Links:
    """Senders and receivers that stay open until the tests of a module have ended.

    Each sleeps half a second while it opens, and up to a second while it closes, since the task that keeps its
    connection alive looks once a second whether it has ended. So they are opened together, and closed together.
    """

    def __init__(self) -> None:
        self._opened = list[Any]()

    async def open(self, *handlers: Any) -> tuple[Any, ...]:
        """Open senders and receivers, and return them."""
        self._opened += handlers
        await asyncio.gather(*(handler.__aenter__() for handler in handlers))
        return handlers

    async def open_pair(self, client: ServiceBusClient, queue: str, **options: Any) -> Pair:
        """Open a sender and a receiver of one queue."""
        handlers = client.get_queue_sender(queue), client.get_queue_receiver(queue, **options)
        sender, receiver = await self.open(*handlers)
        return Pair(sender, receiver, queue)

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(handler.close() for handler in self._opened))


def context_of(message: Any) -> Pathway | None:
    """Return the pathway that a received message carries, as it is on the wire."""
    header = (message.application_properties or {}).get(HEADER.encode())
    return None if header is None else Pathway.decode_base64(header)


def deliveries(captured: Captured) -> dict[str, tuple[int, int]]:
    """Return how many messages were redelivered, and how many dead-lettered, by topic. Forget them."""
    return {
        next(tag.removeprefix("topic:") for tag in edge.tags if tag.startswith("topic:")): (
            facts.redelivered,
            facts.dead_lettered,
        )
        for batch in captured.facts.take(None)
        for edge, facts in batch.edges.items()
        if facts.redelivered or facts.dead_lettered
    }
