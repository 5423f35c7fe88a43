"""RabbitMQ and Redis are killed and started again under load: what was sent and what was processed counts exactly."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dramatiq
import pytest
import redis as redis_client
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker

import asyncdsm
from asyncdsm import DataStreams, Settings
from tests.brokers.process import free_port, serving
from tests.brokers.rabbitmq import rabbitmq as run_rabbitmq
from tests.brokers.redis import command as redis_command
from tests.intake import counted, running_intake
from tests.integrations.dramatiq.conftest import run_worker

MESSAGES, SENDERS, PATIENCE_SECONDS = 300, 4, 30
UNREACHABLE = (dramatiq.BrokerConnectionError, redis_client.ConnectionError, OSError)


class Redis:
    """A Redis that can be killed. What it had is lost, and so are its scripts."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._running = serving(redis_command, port=self.port)
        self._running.__enter__()

    def kill(self) -> None:
        self._running.__exit__(None, None, None)


@contextmanager
def running_redis() -> Iterator[tuple[Any, Any]]:
    server = Redis()
    broker: Any = RedisBroker(url=f"redis://127.0.0.1:{server.port}/0")
    try:
        yield server, broker
    finally:
        broker.client.connection_pool.disconnect()
        server.kill()


@contextmanager
def running_rabbitmq() -> Iterator[tuple[Any, Any]]:
    with run_rabbitmq() as server:
        broker: Any = RabbitmqBroker(url=server.url, confirm_delivery=True)
        try:
            yield server, broker
        finally:
            broker.close()


class Load:
    """Sends every number until the broker has taken it. A kill may lose what was not processed: that is sent again."""

    def __init__(self, broker: Any) -> None:
        self.sent, self.deliveries = Counter[int](), 0
        self.seen = Counter[int]()
        self._lock = threading.Lock()

        @dramatiq.actor(broker=broker, queue_name="load", max_retries=0)
        def work(number: int) -> None:
            with self._lock:
                self.deliveries += 1
                self.seen[number] += 1

        self._work = work

    def send_all(self, numbers: list[int]) -> None:
        threads = [threading.Thread(target=self._send, args=(numbers[at::SENDERS],)) for at in range(SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def missing(self) -> list[int]:
        return [number for number in range(MESSAGES) if not self.seen[number]]

    def wait_until(self, counter: Counter[int], share: float, seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while len(counter) < share * MESSAGES and time.monotonic() < deadline:
            time.sleep(0.01)

    def _send(self, numbers: list[int]) -> None:
        for number in numbers:
            time.sleep(0.005)
            while True:
                with suppress(*UNREACHABLE):
                    self._work.send(number)
                    with self._lock:
                        self.sent[number] += 1
                    break
                time.sleep(0.05)


@pytest.mark.parametrize(("running", "kills"), [(running_redis, 2), (running_rabbitmq, 1)], ids=["redis", "rabbitmq"])
def test_each_message_sent_and_each_delivery_count_once_over_kills(
    running: Any, kills: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.CRITICAL + 1)  # dramatiq and pika log lost connections
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.2)
    with running() as (server, broker), running_intake() as intake:
        with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
            load = Load(asyncdsm.wrap(broker))
            with run_worker(broker):
                sending = threading.Thread(target=load.send_all, args=(list(range(MESSAGES)),))
                sending.start()
                for kill in range(kills):
                    load.wait_until(load.sent, (kill + 1) / (kills + 2))
                    assert len(load.sent) < MESSAGES
                    server.kill()
                    server.start()
                sending.join()
                deadline = time.monotonic() + PATIENCE_SECONDS
                while load.missing() and time.monotonic() < deadline:
                    load.wait_until(load.seen, 1, 0.5)
                    load.send_all(load.missing())  # what a server had taken, and lost with its life
        stats = streams.stats
        assert load.missing() == []
        assert counted(intake.payloads, "direction:out") == load.sent.total()
        assert counted(intake.payloads, "direction:in") == load.deliveries >= MESSAGES
        assert (stats.errors, stats.dropped, stats.pending) == (0, 0, 0)
        assert stats.recorded == stats.delivered
