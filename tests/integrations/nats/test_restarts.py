"""The NATS server is killed and started again under load: what it stored counts once, as does each delivery."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import nats
import pytest
from nats.errors import Error
from nats.js import JetStreamContext

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.nats import NatsServer, nats_server
from tests.intake import running_intake
from tests.restarts import check_counted_once, run_over_kills

MESSAGES, KILLS, PUBLISHERS = 3_000, 3, 20
STREAM = "orders"
UNREACHABLE = (Error, OSError, asyncio.TimeoutError)


class Load:
    """Publishes every number until the server has stored it, and consumes until all were seen."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = iter(range(MESSAGES))
        self.stored = self.deliveries = 0
        self.seen = Counter[bytes]()

    async def run(self) -> None:
        async def ignore(_: Exception) -> None: ...

        client = asyncdsm.wrap(
            await nats.connect(self._url, reconnect_time_wait=0.05, max_reconnect_attempts=-1, error_cb=ignore)
        )
        js = client.jetstream(timeout=2)
        await js.add_stream(name=STREAM, subjects=[STREAM])
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            for _ in range(PUBLISHERS):
                tasks.create_task(self._publish(js))
            tasks.create_task(self._consume(js))
        await client.close()

    async def _publish(self, js: JetStreamContext) -> None:
        for number in self._numbers:
            while True:
                with suppress(*UNREACHABLE):
                    await js.publish(STREAM, b"%d" % number)
                    self.stored += 1
                    break
                await asyncio.sleep(0.05)

    async def _consume(self, js: JetStreamContext) -> None:
        pull = await js.pull_subscribe(STREAM, durable="worker")
        while len(self.seen) < MESSAGES:
            with suppress(*UNREACHABLE):
                for message in await pull.fetch(50, timeout=1):
                    self.deliveries += 1
                    self.seen[message.data] += 1
                    await message.ack()


@pytest.fixture
def own_server() -> Iterator[NatsServer]:
    """A server for this test alone."""
    with nats_server() as server:
        yield server


async def test_each_stored_message_and_each_delivery_count_once_over_kills(
    own_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the client logs lost connections
    with running_intake() as intake:
        async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
            load = Load(own_server.url)
            await run_over_kills(load, own_server, messages=MESSAGES, kills=KILLS)
        assert load.stored == MESSAGES
        assert load.deliveries >= MESSAGES
        check_counted_once(intake, streams.stats, sent=load.stored, received=load.deliveries)
