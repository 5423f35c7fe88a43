"""The broker is killed and started again under load: what it has taken counts once, as does each delivery."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender
from azure.servicebus.exceptions import ServiceBusError

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.azure import AzureServer, azure_server
from tests.intake import running_intake
from tests.restarts import check_counted_once, run_over_kills

MESSAGES, KILLS, SENDERS = 600, 2, 4
QUEUE = "briefly-locked"
UNREACHABLE = (ServiceBusError, OSError, ValueError)


class Load:
    """Sends every number until the broker has taken it, and receives until all were seen."""

    def __init__(self, client: ServiceBusClient) -> None:
        self._client = client
        self._numbers = iter(range(MESSAGES))
        self.taken = self.deliveries = 0
        self.seen = Counter[str]()

    async def run(self) -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            for _ in range(SENDERS):
                tasks.create_task(self._send(self._client.get_queue_sender(QUEUE)))
            tasks.create_task(self._receive(self._client.get_queue_receiver(QUEUE)))

    async def _send(self, sender: ServiceBusSender) -> None:
        async with sender:
            for number in self._numbers:
                while True:
                    with suppress(*UNREACHABLE):
                        await sender.send_messages(ServiceBusMessage(str(number)))
                        self.taken += 1
                        break
                    await asyncio.sleep(0.05)

    async def _receive(self, receiver: ServiceBusReceiver) -> None:
        async with receiver:
            while len(self.seen) < MESSAGES:
                with suppress(*UNREACHABLE):
                    for message in await receiver.receive_messages(50, max_wait_time=1):
                        self.deliveries += 1
                        self.seen[str(message)] += 1
                        with suppress(*UNREACHABLE):
                            await receiver.complete_message(message)


@pytest.fixture
def own_server() -> Iterator[AzureServer]:
    """A server for this test alone."""
    with azure_server() as server:
        yield server


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client closes no lost sockets
async def test_each_message_taken_and_each_delivery_count_once_over_kills(
    own_server: AzureServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the client logs lost connections
    with running_intake() as intake:
        async with (
            DataStreams(Settings(service="s", agent_url=intake.url)) as streams,
            ServiceBusClient.from_connection_string(own_server.connection_string, retry_total=0) as client,
        ):
            load = Load(asyncdsm.wrap(client))
            await run_over_kills(load, own_server, messages=MESSAGES, kills=KILLS)
        gc.collect()
        assert load.taken == MESSAGES
        assert load.deliveries >= MESSAGES
        check_counted_once(intake, streams.stats, sent=load.taken, received=load.deliveries)
