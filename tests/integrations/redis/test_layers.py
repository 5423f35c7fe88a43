"""Libraries on top of redis-py that are followed themselves: each message counts once, by the library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from kombu.connection import Connection
from redis.asyncio import Redis
from taskiq import AckableMessage, AsyncBroker, BrokerMessage
from taskiq.receiver import Receiver

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.redis.clients import FIELD, Name, Package, entries_of

GROUP = "workers"


class StreamBroker(AsyncBroker):
    """A broker of taskiq on a stream."""

    def __init__(self, url: str, stream: str) -> None:
        super().__init__()
        self.client, self.queue_name = Redis.from_url(url), stream

    async def kick(self, message: BrokerMessage) -> None:
        await self.client.xadd(self.queue_name, {"data": message.message})

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        await self.client.xgroup_create(self.queue_name, GROUP, "0", mkstream=True)
        while True:
            result = await self.client.xreadgroup(GROUP, "me", {self.queue_name: ">"}, block=100)
            for entry_id, fields in entries_of(result):

                async def ack(entry_id: Any = entry_id) -> None:
                    await self.client.xack(self.queue_name, GROUP, entry_id)

                yield AckableMessage(data=fields[b"data"], ack=ack)


@pytest.fixture
def everything_followed() -> Iterator[None]:
    names = ("redis", "kombu", "taskiq")
    for name in names:
        asyncdsm.instrument(name)
    yield
    for name in names:
        asyncdsm.uninstrument(name)


@pytest.mark.usefixtures("everything_followed")
async def test_task_of_taskiq_on_a_stream_counts_once(redis: str, captured_streams: Captured, name: Name) -> None:
    broker, done = StreamBroker(redis, name()), asyncio.Event()

    @broker.task
    async def work() -> None:
        done.set()

    await broker.startup()
    await work.kiq()
    receiver = Receiver(broker)
    async with asyncio.timeout(20), aclosing(broker.listen()) as messages:
        await receiver.callback(await anext(messages))
    assert done.is_set()
    await broker.shutdown()
    bare = Package("redis", redis).connect()
    assert [FIELD.encode() in fields for _, fields in await bare.xrange(broker.queue_name)] == [False]
    await bare.aclose()
    await broker.client.aclose()
    assert [made.tag("type") for made in captured_streams.checkpoints] == ["taskiq"] * 2


@pytest.mark.usefixtures("everything_followed")
def test_message_of_kombu_on_redis_counts_once(redis: str, captured_streams: Captured, name: Name) -> None:
    with Connection(redis) as connection:
        queue = connection.SimpleQueue(name())
        queue.put("body")
        queue.get(timeout=10).ack()
        queue.close()
    assert len(captured_streams.produced()) == len(captured_streams.consumed()) == 1
