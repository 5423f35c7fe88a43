"""A user's program: it produces numbered messages to Kafka, consumes them, and looks at what came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import asyncdsm
from asyncdsm import Stats
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka


def balanced(stats: Stats) -> bool:
    """Say whether the counters are even."""
    return stats.recorded == stats.delivered + stats.pending + stats.dropped


class Program:
    """Its messages carry headers of its own, and come back in their order."""

    def __init__(self, producer: Any, consumer: Any, topic: str) -> None:
        self.producer, self.consumer, self.topic = producer, consumer, topic
        self.sent = self.came = 0

    @property
    def checkpoints(self) -> int:
        """How many it has made."""
        return self.sent + self.came

    async def pass_on(self, count: int) -> None:
        """Send some messages and receive them again. Fails where one is missing, or is not what was sent."""
        await asyncio.create_task(self._send(count), context=Context())  # not what came is the parent of what goes
        while self.came < self.sent:
            record = await self.consumer.getone()
            assert record.value == b"value %d" % self.came
            own = [header for header in record.headers if header[0] != HEADER]
            assert own == [("number", b"%d" % self.came), ("none", b"")]
            self.came += 1

    async def _send(self, count: int) -> None:
        for _ in range(count):
            headers = [("number", b"%d" % self.sent), ("none", b"")]
            await self.producer.send(self.topic, b"value %d" % self.sent, headers=headers)
            assert len(headers) == 2
            self.sent += 1
        await self.producer.flush()

    async def pass_on_until(self, stop: asyncio.Event) -> None:
        """Do so again and again, a little more each time: no two payloads are the same."""
        count = 0
        while not stop.is_set():
            count += 1
            await self.pass_on(count)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_program(kafka: Kafka) -> AsyncIterator[Program]:
    """Run the program, its clients wrapped, on a fresh topic."""
    topic = await asyncio.to_thread(kafka.topic)
    async with (
        asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer,
        asyncdsm.wrap(
            AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
        ) as consumer,
    ):
        yield Program(producer, consumer, topic)
