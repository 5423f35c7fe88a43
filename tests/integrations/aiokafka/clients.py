"""What the tests of aiokafka share: wrapped consumers, and what is really on the broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka

Topic = Callable[..., str]


def consumer_of(kafka: Kafka, topic: str, group: str | None = None, **options: Any) -> AIOKafkaConsumer:
    """Return a wrapped consumer that reads a topic from the beginning."""
    return asyncdsm.wrap(
        AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka.bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            **options,
        )
    )


async def bare_headers(kafka: Kafka, topic: str, count: int) -> list[list[tuple[str, bytes]]]:
    """Read the headers on the broker, with a client that is not wrapped."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as bare:
        return [list((await bare.getone()).headers) for _ in range(count)]


def pathway_in(headers: list[tuple[str, bytes]]) -> Pathway:
    """Return the pathway in the only context among these headers."""
    (context,) = [value for name, value in headers if name == HEADER]
    pathway = Pathway.decode_base64(context)
    assert pathway is not None
    return pathway


def backlog_tags(
    kind: str, cluster: str | None, topic: str, group: str | None = None, partition: int = 0
) -> tuple[str, ...]:
    """Return the tags of a backlog (protocol §6)."""
    named = [f"partition:{partition}", f"topic:{topic}", f"type:{kind}", *cluster_tag(cluster)]
    return tuple(sorted([*named, f"consumer_group:{group}"] if group else named))


def cluster_tag(cluster: str | None) -> list[str]:
    """Return the cluster's tag. aiokafka knows the id since 0.13."""
    knows = tuple(map(int, aiokafka.__version__.split(".")[:2])) >= (0, 13)
    assert (cluster is not None) == knows
    return [f"kafka_cluster_id:{cluster}"] if cluster else []
