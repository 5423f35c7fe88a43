"""asyncdsm reads messages of confluent-kafka under ddtrace, and ddtrace those of asyncdsm, with the same parents."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

import asyncdsm
from asyncdsm.core.context import node_hash, pathway_hash
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.differential.process import VERSION, run
from tests.integrations.confluent.clients import consumer_config, from_start, read

SERVICE = "test"
"""The name that `captured_streams` goes by."""


def theirs(kafka: Kafka, *steps: tuple[str, str]) -> tuple[list[int], str]:
    """Make the steps under ddtrace; return the hash that is current after each, and the cluster's id."""
    asked = json.dumps({"bootstrap": kafka.bootstrap, "group": "theirs", "steps": steps})
    # Its contexts travel only where its tracing does.
    environ = {"DD_DATA_STREAMS_ENABLED": "true", "DD_KAFKA_PROPAGATION_ENABLED": "true", "DD_SERVICE": SERVICE}
    answered = json.loads(run("confluent_service.py", asked, **environ))
    assert answered["version"] == VERSION
    return answered["hashes"], answered["cluster"]


def consumed(kafka: Kafka, topic: str) -> Any:
    consumer = asyncdsm.wrap(Consumer)(consumer_config(kafka))
    (message,) = read(from_start(consumer, topic), 1)
    consumer.close()
    return message


def tags(direction: str, topic: str, cluster: str) -> tuple[str, ...]:
    group = () if direction == "out" else ("group:theirs",)
    return (f"direction:{direction}", *group, f"kafka_cluster_id:{cluster}", f"topic:{topic}", "type:kafka")


@pytest.mark.parametrize("way", ["poll", "consume"])
def test_messages_between_ddtrace_and_asyncdsm_continue_each_other(
    kafka: Kafka, topic: Callable[..., str], captured_streams: Captured, way: str
) -> None:
    """ddtrace sends, we read; we send, ddtrace reads and sends on, and we read that."""
    first, second, third = topic(), topic(), topic()
    producer: Any = asyncdsm.wrap(Producer({"bootstrap.servers": kafka.bootstrap}))
    producer.produce(second, b"v", headers=[("given", b"1")])
    producer.flush()
    (written,) = captured_streams.produced(second)
    hashes, cluster = theirs(kafka, ("produce", first), (way, second), ("produce", third))
    assert cluster
    assert hashes[1] == pathway_hash(node_hash(SERVICE, None, tags("in", second, cluster)), written.hash)
    assert hashes[2] == pathway_hash(node_hash(SERVICE, None, tags("out", third, cluster)), hashes[1])
    for name, hash_ in ((first, hashes[0]), (third, hashes[2])):
        message = consumed(kafka, name)
        assert ("given", b"1") in message.headers()
        (made,) = captured_streams.consumed(name)
        assert made.parent == hash_
        with asyncdsm.using(message) as pathway:
            assert pathway is not None
            assert pathway.hash == made.hash
    assert captured_streams.stats().malformed == 0


def test_hop_has_the_same_name_with_ddtrace_and_asyncdsm(
    kafka: Kafka, topic: Callable[..., str], captured_streams: Captured
) -> None:
    """Once the cluster is known: the hash of sending to a topic is the same, whoever sends."""
    name = topic()
    producer: Any = asyncdsm.wrap(Producer({"bootstrap.servers": kafka.bootstrap}))
    for _ in range(2):
        producer.produce(name, b"v")
        producer.flush()
    (hash_,), cluster = theirs(kafka, ("produce", name))
    assert captured_streams.produced(name)[1].hash == hash_
    assert captured_streams.produced(name)[1].tag("kafka_cluster_id") == cluster
