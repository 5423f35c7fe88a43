"""Servers of NATS and Redis are killed and started again under load: what FastStream publishes and handles counts once.

NATS stores its stream. Redis begins again without its list: what it had is lost, and is neither handled nor counted.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, Protocol

import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.redis import ListSub, RedisBroker
from faststream.redis.subscriber.usecases import basic
from nats.errors import Error as NatsError
from redis.exceptions import RedisError

from asyncdsm import DataStreams, Settings
from tests.brokers.nats import NatsServer, nats_server
from tests.brokers.process import free_port, serving
from tests.brokers.redis import command
from tests.intake import counted, running_intake

KILLS, PUBLISHERS, STEP = 2, 5, 200
OPTIONS: dict[str, Any] = {"middlewares": [DataStreamsMiddleware], "logger": None}
UNREACHABLE = (NatsError, RedisError, OSError, asyncio.TimeoutError)


class Server(Protocol):
    """A server that can be killed and started again, on its old port."""

    def start(self) -> None: ...

    def kill(self) -> None: ...


class OwnRedis:
    """A Redis that can be killed and started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self._running = ExitStack()

    def start(self) -> None:
        self._running.enter_context(serving(command, port=self.port))

    def kill(self) -> None:
        self._running.close()


class Load:
    """Publishes until it is ended, and notes what was published and handled."""

    def __init__(self, broker: Any, source: dict[str, Any], target: dict[str, Any]) -> None:
        self.broker, self._target = broker, target
        self._is_ending = False
        self.published = self.handled = 0
        broker.subscriber(**source)(self._handle)

    async def run(self) -> None:
        async with asyncio.timeout(100), asyncio.TaskGroup() as tasks:
            for _ in range(PUBLISHERS):
                tasks.create_task(self._publish())

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(60):
            while self.handled < count:
                await asyncio.sleep(0.01)

    def end(self) -> None:
        self._is_ending = True

    async def settle(self) -> None:
        """Wait until nothing more is handled."""
        before = -1
        while before < self.handled:
            before = self.handled
            await asyncio.sleep(0.5)

    async def _handle(self, number: int) -> None:
        self.handled += 1

    async def _publish(self) -> None:
        while not self._is_ending:
            with suppress(*UNREACHABLE):
                await self.broker.publish(1, **self._target)
                self.published += 1
            await asyncio.sleep(0.002)


def make_nats_load(server: NatsServer) -> Load:
    """A stream, which a pull consumer reads."""
    broker = NatsBroker(server.url, reconnect_time_wait=0, max_reconnect_attempts=-1, **OPTIONS)
    stream, pull = JStream("orders", subjects=["orders"]), PullSub(batch_size=20, timeout=0.2)
    source = {"subject": "orders", "stream": stream, "durable": "worker", "pull_sub": pull}
    return Load(broker, source, {"subject": "orders", "stream": "orders", "timeout": 1})


def make_redis_load(server: OwnRedis) -> Load:
    """A list."""
    broker = RedisBroker(f"redis://127.0.0.1:{server.port}/0", **OPTIONS)
    return Load(broker, {"list": ListSub("orders", polling_interval=0.01)}, {"list": "orders"})


@pytest.fixture(params=["nats", "redis"])
def restarted(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Load]]:
    """Run a server for this test alone; return it and a load."""
    if request.param == "nats":
        with nats_server() as server:
            yield server, make_nats_load(server)
        return
    own = OwnRedis()
    own.start()
    try:
        yield own, make_redis_load(own)
    finally:
        own.kill()


async def test_each_publish_and_each_handled_message_count_once_over_kills(
    restarted: tuple[Server, Load], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.CRITICAL)  # the clients log lost connections
    monkeypatch.setattr(basic, "CONSUME_ERROR_BACKOFF_SECONDS", 0.05, raising=False)  # not in 0.7.0
    server, load = restarted
    with running_intake() as intake:
        async with DataStreams(Settings(service="s", agent_url=intake.url)) as streams, load.broker:
            await load.broker.start()
            running = asyncio.create_task(load.run())
            for kill in range(KILLS):
                await load.reach((kill + 1) * STEP)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
            await load.reach((KILLS + 1) * STEP)
            load.end()
            await running
            await load.settle()
        stats = streams.stats
        assert counted(intake.payloads, "direction:out") == load.published > KILLS * STEP
        assert counted(intake.payloads, "direction:in") == load.handled > KILLS * STEP
        assert (stats.errors, stats.dropped, stats.pending) == (0, 0, 0)
        assert stats.recorded == stats.delivered == load.published + load.handled
