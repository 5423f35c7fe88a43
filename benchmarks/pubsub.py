"""Messages of 200 bytes through google-cloud-pubsub and a fake service: CPU of this process to send and pull one.

The async clients, in requests of 100 messages each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import process_time
from typing import Any

from benchmarks.client_contest import (
    BODY,
    CONTEXT,
    FIELD_NAME,
    FIELD_VALUE,
    Follow,
    follow_nothing,
    make_benchmark,
    measure_wrapped,
)
from benchmarks.sink import sink

BLOCKS, BATCH = 3, 100
TOPIC, SUBSCRIPTION = "projects/p/topics/benchmark", "projects/p/subscriptions/benchmark"


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_microseconds(count, follow_nothing, carries=False))


def bare_with_a_field(count: int) -> float:
    """Nobody follows the messages, and each has an attribute of a context's size, as its program gave it."""
    attributes = {FIELD_NAME: FIELD_VALUE}
    return asyncio.run(_microseconds(count, follow_nothing, carries=False, extra=attributes))


def asyncdsm_wrapped(count: int) -> float:
    """Clients that are wrapped."""
    return asyncio.run(measure_wrapped(partial(_microseconds, count, carries=True), 2 * (BLOCKS + 1) * count))


async def _microseconds(count: int, follow: Follow, *, carries: bool, extra: dict[str, str] | None = None) -> float:
    """CPU time per message: the least of some blocks, after one that warms up."""
    from google.api_core.exceptions import AlreadyExists
    from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient

    publisher, subscriber = PublisherAsyncClient(), SubscriberAsyncClient()
    try:
        await publisher.create_topic(name=TOPIC)
        await subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
    except AlreadyExists:
        pass
    publish, pull = follow(publisher).publish, follow(subscriber).pull
    messages = [{"data": BODY, "attributes": extra or {}}] * BATCH
    figures, carried = list[float](), set[bool]()
    for _ in range(BLOCKS + 1):
        start, left = process_time(), count
        for _ in range(count // BATCH):
            await publish(topic=TOPIC, messages=messages)
        while left:
            response = await pull(subscription=SUBSCRIPTION, max_messages=min(BATCH, left))
            ack_ids = list[str]()
            for received in response.received_messages:
                ack_ids.append(received.ack_id)
                left -= 1
            carried.add(CONTEXT in response.received_messages[0].message.attributes)
            await subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=ack_ids)
        figures.append((process_time() - start) / count * 1e6)
    assert carried == {carries}, "followed by the wrong one, or by nobody"
    clients: list[Any] = [publisher, subscriber]
    for client in clients:
        await client.transport.close()
    return min(figures[1:])


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.pubsub import pubsub_server

    with pubsub_server() as server, sink() as environ:
        yield {**environ, "PUBSUB_EMULATOR_HOST": server.address}


BENCHMARK = make_benchmark("google-cloud-pubsub", "Publish and pull a message", 2_000, _surroundings, "an attribute")
