"""azure-eventhub: what is followed by `wrap` and by `instrument`, and that each event counts once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import MagicMock, create_autospec

import azure.eventhub
import pytest
from azure.eventhub import EventData
from azure.eventhub._producer import EventHubProducer
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

import asyncdsm
from asyncdsm.errors import UnknownClientError
from asyncdsm.testing import Captured
from tests.integrations.eventhub.clients import Clients, until

CLIENTS = (
    EventHubProducerClient,
    EventHubConsumerClient,
    azure.eventhub.EventHubProducerClient,
    azure.eventhub.EventHubConsumerClient,
)


class Program:
    """Sends three events in three ways, and gets them in one call of `receive_batch` that lasts."""

    def __init__(self, clients: Clients, producer: EventHubProducerClient, captured: Captured) -> None:
        self._clients, self._producer, self._captured = clients, producer, captured
        self._got = list[str]()

    @asynccontextmanager
    async def receiving(self, consumer: EventHubConsumerClient) -> AsyncIterator[Program]:
        """Receive in the background."""
        async with self._clients.receiving(
            consumer.receive_batch(self._note, partition_id="0", starting_position="-1")
        ):
            yield self

    async def _note(self, _context: Any, events: list[EventData]) -> None:
        self._got += [event.body_as_str() for event in events]

    async def run(self) -> tuple[int, int]:
        """Return how many checkpoints were produced and consumed. Each consumed one has its parent."""
        await self._producer.send_event(EventData("one"), partition_id="0")
        await self._producer.send_batch([EventData("two")], partition_id="0")
        batch = await self._producer.create_batch(partition_id="0")
        batch.add(EventData("three"))
        await self._producer.send_batch(batch)
        await until(lambda: len(self._got) == 3)
        assert self._got == ["one", "two", "three"]
        self._got.clear()
        sent, read = self._captured.produced(), self._captured.consumed()
        assert {made.parent for made in read} <= {made.hash for made in sent}
        self._captured.clear()
        return len(sent), len(read)


async def test_wrapped_producers_are_followed_and_others_are_not(clients: Clients, captured_streams: Captured) -> None:
    producer = clients.bare_producer()
    async with Program(clients, producer, captured_streams).receiving(clients.bare_consumer()) as program:
        assert await program.run() == (0, 0)
        for _ in range(2):
            assert asyncdsm.wrap(producer) is producer
        assert await program.run() == (3, 0)


async def test_instrument_follows_everything_until_uninstrument(clients: Clients, captured_streams: Captured) -> None:
    before = [dict(vars(cls)) for cls in (*CLIENTS, EventHubProducer)]
    bare, wrapped = clients.bare_producer(), clients.producer()
    asyncdsm.instrument("azure.eventhub")
    try:
        asyncdsm.instrument("azure.eventhub")  # a second time changes nothing
        async with Program(clients, bare, captured_streams).receiving(clients.bare_consumer()) as program:
            assert await program.run() == (3, 3)
            asyncdsm.uninstrument("azure.eventhub")
            assert await program.run() == (0, 0)
            asyncdsm.instrument("azure.eventhub")
            assert await Program.run(program) == (3, 3)
        async with Program(clients, wrapped, captured_streams).receiving(clients.consumer(group="other")) as program:
            await until(lambda: len(program._got) == 9)
            program._got.clear()
            captured_streams.clear()
            assert await program.run() == (3, 3)
            asyncdsm.uninstrument("azure.eventhub")
            assert await program.run() == (3, 3)
    finally:
        asyncdsm.uninstrument("azure.eventhub")
    assert [dict(vars(cls)) for cls in (*CLIENTS, EventHubProducer)] == before


@pytest.mark.parametrize("spec", CLIENTS)
def test_wrap_returns_a_mock_unchanged(spec: type) -> None:
    for mock in (MagicMock(spec=spec), create_autospec(spec, instance=True)):
        before = dict(vars(mock)), mock.mock_calls[:]
        assert asyncdsm.wrap(mock) is mock
        assert (dict(vars(mock)), mock.mock_calls[:]) == before


def test_wrap_says_what_it_takes_of_the_package() -> None:
    with pytest.raises(UnknownClientError, match=r"of azure\.eventhub it takes an EventHubProducerClient"):
        asyncdsm.wrap(EventData("body"))
