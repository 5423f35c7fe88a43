"""The server is killed and started again under load: what it has taken counts once, as does each delivery."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.azure import AzureServer, azure_server
from tests.intake import running_intake
from tests.integrations.eventhub.clients import until
from tests.restarts import check_counted_once, run_over_kills

EVENTS, KILLS, SENDERS = 400, 2, 4
HUB = "orders"


class Load:
    """Sends every number until the hub has taken it, and receives until all were seen."""

    def __init__(self, connection_string: str) -> None:
        options: Any = {"eventhub_name": HUB, "retry_total": 0}
        self._producer = asyncdsm.wrap(EventHubProducerClient.from_connection_string(connection_string, **options))
        self._consumer = asyncdsm.wrap(
            EventHubConsumerClient.from_connection_string(
                connection_string, "$Default", load_balancing_interval=0.2, **options
            )
        )
        self._numbers = iter(range(EVENTS))
        self.taken = self.deliveries = 0
        self.seen = Counter[str]()

    async def run(self) -> None:
        receiving = asyncio.create_task(self._consumer.receive_batch(self._note, starting_position="-1"))
        async with asyncio.timeout(90), self._producer:
            await asyncio.gather(*(self._send() for _ in range(SENDERS)))
            await until(lambda: len(self.seen) == EVENTS)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await self._consumer.close()

    async def _send(self) -> None:
        for number in self._numbers:
            while True:
                try:
                    await self._producer.send_event(EventData(str(number)))
                    self.taken += 1
                    break
                except Exception:  # whatever the client raises of a server that is away
                    await asyncio.sleep(0.05)

    async def _note(self, _context: Any, events: list[EventData]) -> None:
        self.deliveries += len(events)
        self.seen.update(event.body_as_str() for event in events)


@pytest.fixture
def own_server() -> Iterator[AzureServer]:
    """A server for this test alone."""
    with azure_server("eventhubs") as server:
        yield server


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client closes no lost sockets
async def test_each_event_taken_and_each_delivery_count_once_over_kills(
    own_server: AzureServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the client logs lost connections
    with running_intake() as intake:
        async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
            load = Load(own_server.connection_string)
            await run_over_kills(load, own_server, messages=EVENTS, kills=KILLS)
        gc.collect()
        assert load.taken == EVENTS
        assert load.deliveries >= EVENTS
        check_counted_once(intake, streams.stats, sent=load.taken, received=load.deliveries)
