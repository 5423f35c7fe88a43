"""A broker of FastStream under test, and what its handlers see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from faststream.rabbit import RabbitBroker


class BrokerSetup:
    """A broker with the middleware, and names for its topics or queues."""

    def __init__(self, broker: Any, name: Callable[[], str], **consuming: Any) -> None:
        self.broker, self.name, self.consuming = broker, name, consuming

    def subscriber(self, name: str, **options: Any) -> Any:
        has_groups = not isinstance(self.broker, RabbitBroker)
        grouped = {"group_id": f"group-{name}"} if options.pop("grouped", False) and has_groups else {}
        return self.broker.subscriber(name, **self.consuming, **grouped, **options)


@asynccontextmanager
async def run_broker(setup: BrokerSetup) -> AsyncIterator[None]:
    """Start a broker, and stop it after the block."""
    await setup.broker.start()
    await wait_for_cluster_id(setup.broker)
    try:
        yield
    finally:
        await setup.broker.stop()


async def wait_for_cluster_id(broker: Any) -> None:
    """Wait until a broker on confluent-kafka knows its cluster: what it publishes before has an edge without it."""
    producer = broker.config.producer
    while producer is not None and not hasattr(producer, "cluster_id"):
        producer = getattr(producer, "_producer", None) or getattr(producer, "producer", None)
    if producer is not None:
        assert await asyncio.to_thread(producer.cluster_id, 30)


class Seen:
    """Collects what handlers see, and waits until there is enough of it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._changed = asyncio.Event()

    def add(self, what: Any) -> None:
        self.seen.append(what)
        self._changed.set()

    async def wait_for(self, count: int) -> list[Any]:
        async with asyncio.timeout(20):
            while len(self.seen) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.seen
