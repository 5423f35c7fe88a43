"""What every Kafka of the tests offers, whichever program it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka.admin import AdminClient

COORDINATOR_SECONDS = 60.0


@dataclass(frozen=True)
class Kafka:
    """A running Kafka, reached at `bootstrap`; `topics` are those that the tests created."""

    bootstrap: str
    topics: list[str] = field(default_factory=list)
    replicas: int = 1
    """How many nodes hold each partition of a new topic."""

    def topic(self, partitions: int = 1, prefix: str = "topic", config: Mapping[str, str] | None = None) -> str:
        """Create a topic that nobody used before and return its name. For plain and for async tests."""
        name = f"{prefix}-{uuid4().hex[:12]}"
        self.create_topic(name, partitions, config)
        return name

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic of this name, which nobody may have created before."""
        self._create(name, partitions, config or {})
        self.topics.append(name)

    def _create(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        _apart(_create(self.bootstrap, name, partitions, self.replicas, config))


@contextmanager
def users_own(bootstrap: str) -> Iterator[Kafka]:
    """Use a Kafka that runs already, and delete the topics that the tests created on it."""
    kafka = Kafka(bootstrap)
    try:
        yield kafka
    finally:
        if kafka.topics:
            _apart(_delete(bootstrap, kafka.topics))


def make_coordinator(bootstrap: str) -> None:
    """Let a fresh Kafka make the topic in which it keeps its groups, and wait until it answers for a group.

    It would make that topic for the first consumer that asks, and clients log an error while it does.
    """
    admin, deadline = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}), monotonic() + COORDINATOR_SECONDS
    while True:
        (answer,) = admin.describe_consumer_groups(["nobody"], request_timeout=COORDINATOR_SECONDS).values()
        error = answer.exception()
        if error is None:
            return
        if monotonic() > deadline:
            raise error
        sleep(0.05)


async def _create(bootstrap: str, name: str, partitions: int, replicas: int, config: Mapping[str, str]) -> None:
    async with _admin(bootstrap) as admin:
        response = await admin.create_topics([NewTopic(name, partitions, replicas, topic_configs=dict(config))])
    for _, code, *text in response.topic_errors:  # pyright: ignore[reportAttributeAccessIssue]
        if code:
            raise RuntimeError(f"cannot create the topic {name}: error {code} {text}")


async def _delete(bootstrap: str, names: list[str]) -> None:
    async with _admin(bootstrap) as admin:
        await admin.delete_topics(names)


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _apart(work: Coroutine[Any, Any, None]) -> None:
    """Run async work in a thread and an event loop of its own: the test's loop may be running already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
