"""What Kafka's admin client says and does, and what asyncdsm has recorded of the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, TopicCollection, TopicPartition
from confluent_kafka import admin as kafka_admin

from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka

SECONDS = 30.0
_api: Any = kafka_admin  # it has no types

Offsets = dict[tuple[str, int], int]
"""Offsets by topic and partition."""


class Replicas(NamedTuple):
    """The nodes that have a partition."""

    leader: int | None
    in_sync: set[int]


def ask_admin(kafka: Kafka, ask: Callable[[Any], dict[Any, Future[Any]]]) -> dict[Any, Any]:
    """Return the answers to a question to Kafka's admin client.

    The client is a fresh one, since one goes on asking a node that has died. It has to live until it has answered.
    """
    admin = _api.AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    return {key: answer.result(SECONDS) for key, answer in ask(admin).items()}


def find_replicas(kafka: Kafka, topic: str) -> dict[int, Replicas]:
    """Return the nodes of each partition."""
    (described,) = ask_admin(kafka, lambda admin: admin.describe_topics(TopicCollection([topic]))).values()
    found = described.partitions
    return {one.id: Replicas(one.leader and one.leader.id, {node.id for node in one.isr}) for one in found}


def find_ends(kafka: Kafka, topic: str) -> dict[int, int]:
    """Return the end of each partition, as kafka-consumer-groups asks for it: open transactions belong to it."""

    def ask(admin: Any) -> Any:
        partitions = admin.list_topics(topic, SECONDS).topics[topic].partitions
        return admin.list_offsets({TopicPartition(topic, number): _api.OffsetSpec.latest() for number in partitions})

    return {place.partition: found.offset for place, found in ask_admin(kafka, ask).items()}


def committed_offsets(kafka: Kafka, group: str) -> Offsets:
    """Return what a group has committed."""
    asked = ConsumerGroupTopicPartitions(group)
    (answer,) = ask_admin(kafka, lambda admin: admin.list_consumer_group_offsets([asked])).values()
    return {(tp.topic, tp.partition): tp.offset for tp in answer.topic_partitions}


def find_commits(kafka: Kafka, group: str) -> dict[int, int]:
    """Return what a group that reads one topic has committed, by partition."""
    return {partition: offset for (_, partition), offset in committed_offsets(kafka, group).items()}


def group_lag(kafka: Kafka, group: str, topic: str) -> int:
    """Return the lag that kafka-consumer-groups shows for partition 0: the end without what was committed."""
    return find_ends(kafka, topic)[0] - committed_offsets(kafka, group)[topic, 0]


def delete_before(kafka: Kafka, topic: str, offset: int) -> None:
    """Delete the records of partition 0 below an offset."""
    (answer,) = ask_admin(kafka, lambda admin: admin.delete_records([TopicPartition(topic, 0, offset)])).values()
    assert answer.low_watermark == offset


def set_config(kafka: Kafka, topic: str, name: str, value: str) -> None:
    """Set one part of a topic's configuration."""
    entry = _api.ConfigEntry(name, value, incremental_operation=_api.AlterConfigOpType.SET)
    resource = _api.ConfigResource(_api.ResourceType.TOPIC, topic, incremental_configs=[entry])
    ask_admin(kafka, lambda admin: admin.incremental_alter_configs([resource]))


def recorded_offsets(captured: Captured, kind: str, topic: str, **tags: str) -> dict[int, int]:
    """Return the offsets of a topic that were recorded with these tags, by partition."""
    wanted = {"type": kind, "topic": topic, **tags}
    return {int(tags["partition"]): offset for tags, offset in _backlogs(captured) if wanted.items() <= tags.items()}


def recorded_commits(captured: Captured, group: str) -> Offsets:
    """Return the commits that were recorded for a group."""
    wanted = {"type": "kafka_commit", "consumer_group": group}
    return {
        (tags["topic"], int(tags["partition"])): offset
        for tags, offset in _backlogs(captured)
        if wanted.items() <= tags.items()
    }


def recorded_lag(group: str) -> list[int]:
    """Return the lags that asyncdsm reports for a group, one for each partition that its consumers know."""
    return [lag.behind for lag in current_lags() if lag.group == group]


def _backlogs(captured: Captured) -> Iterator[tuple[dict[str, str], int]]:
    for tags, offset in captured.backlogs.items():
        yield dict(tag.split(":", 1) for tag in tags), offset
