"""The broker is killed and started again under load: each message counts once, however often clients reconnect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress

import pytest
from aiomqtt import Client, MqttError

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.mosquitto import Mosquitto, run_mosquitto
from tests.intake import counted, running_intake
from tests.integrations.aiomqtt.clients import make_client

KILLS, PUBLISHERS, STEP = 3, 10, 300
TOPIC, LAST = "orders", b"last"


class Load:
    """One client publishes, another one consumes, both over as many connections as it takes."""

    def __init__(self, broker: Mosquitto) -> None:
        self._broker = broker
        self._is_ending = False
        self.sent = self.received = 0

    async def run(self) -> None:
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consume())
            tasks.create_task(self._publish())

    async def reach(self, count: int) -> None:
        while self.received < count:
            await asyncio.sleep(0.01)

    def end(self) -> None:
        self._is_ending = True

    async def _publish(self) -> None:
        client = asyncdsm.wrap(make_client(self._broker, timeout=0.5))
        client.pending_calls_threshold = 100
        while not self._is_ending:
            with suppress(MqttError):
                async with client:
                    await asyncio.gather(*(self._publish_some(client, each % 3) for each in range(PUBLISHERS)))
            await asyncio.sleep(0.05)
        async with client:
            await self._publish_one(client, LAST, 1)

    async def _publish_some(self, client: Client, qos: int) -> None:
        while not self._is_ending:
            await self._publish_one(client, b"body", qos)
            await asyncio.sleep(0.001)

    async def _publish_one(self, client: Client, body: bytes, qos: int) -> None:
        await client.publish(TOPIC, body, qos)
        self.sent += 1

    async def _consume(self) -> None:
        client = asyncdsm.wrap(make_client(self._broker, timeout=0.5))
        while True:
            with suppress(MqttError):
                async with client:
                    await client.subscribe(TOPIC, qos=2)
                    async for message in client.messages:
                        self.received += 1
                        if message.payload == LAST:
                            return
            await asyncio.sleep(0.01)


@pytest.fixture
def own_broker() -> Iterator[Mosquitto]:
    """A broker for this test alone."""
    with run_mosquitto() as broker:
        yield broker


async def test_each_publish_and_each_delivery_count_once_over_kills(
    own_broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the client logs lost connections
    # The client's own callbacks may find their socket closed: the loop is told, and nobody is waiting.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    with running_intake() as intake:
        async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
            load = Load(own_broker)
            running = asyncio.create_task(load.run())
            for kill in range(KILLS):
                await load.reach((kill + 1) * STEP)
                await asyncio.to_thread(own_broker.kill)
                await asyncio.to_thread(own_broker.start)
            await load.reach((KILLS + 1) * STEP)
            load.end()
            await running
        stats = streams.stats
        assert counted(intake.payloads, "direction:out") == load.sent
        assert counted(intake.payloads, "direction:in") == load.received > KILLS * STEP
        assert (stats.errors, stats.dropped, stats.pending) == (0, 0, 0)
        assert stats.recorded == stats.delivered == load.sent + load.received
