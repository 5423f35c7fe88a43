"""The fake of Pub/Sub is killed and started again under load: what it stored counts once, as does each delivery."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.api_core.retry import Retry, if_exception_type

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.pubsub import PubSubServer, pubsub_server
from tests.intake import counted, running_intake
from tests.integrations.pubsub.clients import Names, publishing, streaming, subscribing, wait_until

MESSAGES, KILLS, PUBLISHERS = 2_000, 2, 20


class Load:
    """Publishes every number until the service has it, and consumes until all were seen. In threads of its own."""

    def __init__(self, server: PubSubServer) -> None:
        self._server = server
        self._numbers = iter(range(MESSAGES))
        self._lock = threading.Lock()
        self.stored = self.deliveries = 0
        self.seen = Counter[bytes]()

    def run(self) -> None:
        address = self._server.address
        retry = Retry(if_exception_type(ServiceUnavailable), initial=0.05, maximum=0.2, timeout=120)
        with publishing(address, retry=retry) as publisher, subscribing(address) as subscriber:
            topic, subscription = Names(self._server, publisher, subscriber).make()
            asyncdsm.wrap(publisher)
            asyncdsm.wrap(subscriber)
            with streaming(subscriber, subscription, self._note), ThreadPoolExecutor(PUBLISHERS) as pool:
                for future in [pool.submit(self._publish, publisher, topic) for _ in range(PUBLISHERS)]:
                    future.result(120)
                wait_until(lambda: len(self.seen) == MESSAGES, 120)

    def kill(self, share: float) -> None:
        """Kill the server once a share of the messages was seen, and start it again."""
        wait_until(lambda: len(self.seen) >= share * MESSAGES, 120)
        self._server.kill()
        self._server.start()

    def _publish(self, publisher: Any, topic: str) -> None:
        while True:
            with self._lock:
                number = next(self._numbers, None)
            if number is None:
                return
            publisher.publish(topic, b"%d" % number).result(120)
            with self._lock:
                self.stored += 1

    def _note(self, message: Any) -> None:
        with self._lock:
            self.deliveries += 1
            self.seen[message.data] += 1
        message.ack()


@pytest.fixture
def own_server() -> Iterator[PubSubServer]:
    """A server for this test alone."""
    with pubsub_server() as server:
        yield server


async def test_each_stored_message_and_each_delivery_count_once_over_kills(
    own_server: PubSubServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # the client logs lost connections
    with running_intake() as intake:
        async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
            load = Load(own_server)
            running = asyncio.create_task(asyncio.to_thread(load.run))
            for kill in range(KILLS):
                await asyncio.to_thread(load.kill, (kill + 1) / (KILLS + 1))
            await running
        stats = streams.stats
        assert load.stored == MESSAGES
        assert counted(intake.payloads, "direction:out") == load.stored
        assert counted(intake.payloads, "direction:in") == load.deliveries >= MESSAGES
        assert (stats.errors, stats.dropped, stats.pending) == (0, 0, 0)
        assert stats.recorded == stats.delivered == load.stored + load.deliveries
