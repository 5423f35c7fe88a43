"""One pathway goes from a website through HTTP and all kinds of brokers, and the agent's map has all of it."""

from __future__ import annotations

import random
from string import ascii_lowercase

import anyio
import pytest

from tests.all_brokers.brokers import AllBrokers
from tests.all_brokers.pipeline import create_pipeline
from tests.brokers.aws import Aws
from tests.brokers.azure import AzureServer
from tests.brokers.kafka import Kafka
from tests.brokers.mosquitto import Mosquitto
from tests.brokers.nats import NatsServer
from tests.brokers.pubsub import PubSubServer
from tests.brokers.rabbitmq import RabbitMQ
from tests.interop.chain import Hop, count_hashes, count_parents, expected_hops, find_points, find_queues
from tests.interop.pipelines import COUNT
from tests.interop.running import Outcome, run_pipeline


@pytest.fixture(scope="module")
def outcome(  # noqa: PLR0917  (one of each)
    kafka: Kafka,
    rabbitmq: RabbitMQ,
    ministack: Aws,
    nats: NatsServer,
    redis: str,
    pubsub: PubSubServer,
    servicebus: AzureServer,
    mosquitto: Mosquitto,
) -> Outcome:
    brokers = AllBrokers(kafka, rabbitmq, ministack, nats, redis, pubsub, servicebus, mosquitto)

    async def run() -> Outcome:
        suffix = "-" + "".join(random.choices(ascii_lowercase, k=6))
        return await run_pipeline(brokers, await create_pipeline(brokers, suffix), COUNT)

    return anyio.run(run)


def test_pathway_is_whole_from_the_website_to_the_last_service(outcome: Outcome) -> None:
    points, before = find_points(outcome.topology), {"0": float(COUNT)}
    for hop in expected_hops(outcome.steps):
        assert len(points[hop]) == 1, hop
        assert count_parents(points[hop]) == before, hop
        before = count_hashes(points[hop])


def test_map_has_each_queue_once_and_exact_counts(outcome: Outcome) -> None:
    hops, queues = expected_hops(outcome.steps), find_queues(outcome.topology)
    counts = {
        Hop(edge["service"], edge["direction"], edge["type"]): edge["count"] for edge in outcome.topology["edges"]
    }
    assert counts == dict.fromkeys(hops, COUNT)
    assert all(len(queues[hop]) == 1 for hop in hops)
    hand_overs = zip(hops[::2], hops[1::2], strict=True)
    apart = [writer.type for writer, reader in hand_overs if queues[writer] != queues[reader]]
    assert apart == ["google-pubsub"]  # a subscriber is told its subscription, and not the topic
