"""What the tests of confluent-kafka share: clients followed in each way, and what is really on the broker."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import confluent_kafka
from asyncdsm_confluent.classes import c_classes
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka

PATIENCE_SECONDS = 60.0
WAYS = ("wrap(object)", "wrap(class)", "instrument")

Make = Callable[..., Any]


def make(way: str, kafka: Kafka, name: str, **options: Any) -> Any:
    """Return a client of this class, followed in this way."""
    config = {"bootstrap.servers": kafka.bootstrap, "log_level": 0, **options}
    kind = getattr(confluent_kafka, name)
    if way == "wrap(class)":
        return asyncdsm.wrap(kind)(config)
    return asyncdsm.wrap(kind(config)) if way == "wrap(object)" else kind(config)


def consumer_config(kafka: Kafka, group: str = "g", /, **options: Any) -> dict[str, Any]:
    """Return the configuration of a consumer that reads from the beginning."""
    return {
        "bootstrap.servers": kafka.bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "log_level": 0,
        **options,
    }


def from_start(consumer: Any, topic: str, partition: int = 0) -> Any:
    """Let a consumer read one partition, without a wait for its group."""
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    return consumer


def read(consumer: Any, count: int) -> list[Any]:
    """Poll until `count` messages were received."""
    messages, deadline = list[Any](), monotonic() + PATIENCE_SECONDS
    while len(messages) < count:
        assert monotonic() < deadline, f"{len(messages)} of {count} messages were received"
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            messages.append(message)
    return messages


def until(condition: Callable[[], Any], step: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Do a step again and again until the condition holds, for some seconds at most."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "the condition was never met"
        step()


def on_broker(kafka: Kafka, topic: str, count: int, partition: int = 0) -> list[Any]:
    """Read the messages on the broker, with a client that is not followed."""
    bare = bare_class("Consumer")(consumer_config(kafka, "bare"))
    try:
        return read(from_start(bare, topic, partition), count)
    finally:
        bare.close()


def bare_class(name: str) -> Any:
    """Return the C class, whatever class has its name at the moment."""
    return next(own for own in c_classes() if own.__name__ == name)


def contexts(message: Any) -> list[Pathway]:
    """Return the contexts that a message carries."""
    found = [Pathway.decode_base64(value) for name, value in message.headers() or () if name == HEADER]
    assert None not in found
    return [pathway for pathway in found if pathway is not None]


def others(message: Any) -> list[tuple[str, Any]]:
    """Return a message's headers without its context."""
    return [pair for pair in message.headers() or () if pair[0] != HEADER]


def cluster_of(client: Any) -> str | None:
    """Return the cluster's id as the client knows it; older releases have no such method."""
    ask = getattr(client, "cluster_id", None)
    return None if ask is None else ask(0)


def tags(kind: str, topic: str, cluster: str | None, group: str | None = None, partition: int = 0) -> tuple[str, ...]:
    """Return the tags of a backlog (protocol §6)."""
    named = [f"partition:{partition}", f"topic:{topic}", f"type:{kind}"]
    named += [f"kafka_cluster_id:{cluster}"] if cluster else []
    return tuple(sorted([*named, f"consumer_group:{group}"] if group else named))
