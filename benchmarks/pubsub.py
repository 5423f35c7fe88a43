"""Messages of 200 bytes through google-cloud-pubsub and a fake service: CPU of this process to send and pull one.

The async clients, in requests of 100 messages each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = b"x" * 200
BLOCKS, BATCH = 3, 100
TOPIC, SUBSCRIPTION = "projects/p/topics/benchmark", "projects/p/subscriptions/benchmark"
CONTEXT = "dd-pathway-ctx-base64"

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_microseconds(count, lambda client: client, carries=False))


def bare_with_an_attribute(count: int) -> float:
    """Nobody follows the messages, and each has an attribute of a context's size, as its program gave it."""
    attributes = {"x" * len(CONTEXT): "x" * 28}
    return asyncio.run(_microseconds(count, lambda client: client, carries=False, extra=attributes))


def asyncdsm_wrapped(count: int) -> float:
    """Clients that are wrapped."""
    return asyncio.run(_wrapped(count))


async def _wrapped(count: int) -> float:
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of a message
        figure = await _microseconds(count, asyncdsm.wrap, carries=True)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


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


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


BENCHMARK = Benchmark(
    title="Publish and pull a message through google-cloud-pubsub, CPU",
    unit="µs",
    count=2_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("bare, with an attribute of that size", "bare_with_an_attribute"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim("of that, the client's work on an attribute", _added("bare, with an attribute of that size"), unit="µs"),
        Claim("a message with asyncdsm, of one without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
    ),
    surroundings=_surroundings,
)
