"""A Kafka in this process: librdkafka's mock cluster, out of confluent-kafka's wheel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer


@contextmanager
def built_in_broker(topics: tuple[str, ...]) -> Iterator[str]:
    """Run a broker on a free port of the loopback interface inside the block; yields its address."""
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = cluster.list_topics(timeout=10).brokers
    for topic in topics:
        cluster.list_topics(topic, timeout=10)  # asking for a topic makes it
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())
    cluster.flush(1)
