"""Messages of 200 bytes through google-cloud-pubsub and a fake service: CPU of this process to send and pull one.

The async clients, in requests of 100 messages each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import process_time
from typing import Any

from benchmarks.client_contest import BODY, CONTEXT, Follow, make_benchmark, make_contestants
from benchmarks.sink import sink

BLOCKS, BATCH = 3, 100
TOPIC, SUBSCRIPTION = "projects/p/topics/benchmark", "projects/p/subscriptions/benchmark"


async def _microseconds(count: int, follow: Follow, *, carries: bool, fields: dict[Any, Any]) -> float:
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
    messages = [{"data": BODY, "attributes": fields}] * BATCH
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


bare, bare_with_a_field, asyncdsm_wrapped = make_contestants(_microseconds, BLOCKS + 1)
BENCHMARK = make_benchmark("google-cloud-pubsub", "Publish and pull a message", 2_000, _surroundings, "an attribute")
