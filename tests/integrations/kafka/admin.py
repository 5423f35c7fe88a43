"""What Kafka's admin client says, and what asyncdsm has recorded of the same."""

from __future__ import annotations

from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, TopicCollection, TopicPartition
from confluent_kafka import admin as kafka_admin

from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka

SECONDS = 30.0
_api: Any = kafka_admin  # it has no types


class Replicas(NamedTuple):
    """The nodes that have a partition."""

    leader: int | None
    in_sync: set[int]


def create_topic(kafka: Kafka, name: str, partitions: int = 1) -> None:
    """Create a topic of this name."""
    admin = _admin(kafka)
    (answer,) = admin.create_topics([_api.NewTopic(name, partitions)]).values()
    answer.result(SECONDS)


def find_replicas(kafka: Kafka, topic: str) -> dict[int, Replicas]:
    """Return the nodes of each partition."""
    admin = _admin(kafka)
    (answer,) = admin.describe_topics(TopicCollection([topic])).values()
    partitions = answer.result(SECONDS).partitions
    return {one.id: Replicas(one.leader and one.leader.id, {node.id for node in one.isr}) for one in partitions}


def find_ends(kafka: Kafka, topic: str) -> dict[int, int]:
    """Return the offset that the next message of each partition will get."""
    admin = _admin(kafka)
    partitions = admin.list_topics(topic, SECONDS).topics[topic].partitions
    answers = admin.list_offsets({TopicPartition(topic, number): _api.OffsetSpec.latest() for number in partitions})
    return {one.partition: answer.result(SECONDS).offset for one, answer in answers.items()}


def find_commits(kafka: Kafka, group: str) -> dict[int, int]:
    """Return what a group that reads one topic has committed, by partition."""
    admin = _admin(kafka)
    (answer,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    return {one.partition: one.offset for one in answer.result(SECONDS).topic_partitions}


def recorded_offsets(captured: Captured, kind: str, topic: str, **tags: str) -> dict[int, int]:
    """Return the offsets of a topic that were recorded with these tags, by partition."""
    wanted = {"type": kind, "topic": topic, **tags}
    named = ((dict(tag.split(":", 1) for tag in each), offset) for each, offset in captured.backlogs.items())
    return {int(each["partition"]): offset for each, offset in named if wanted.items() <= each.items()}


def _admin(kafka: Kafka) -> Any:
    """Return a fresh client, since one goes on asking a node that has died. It has to live until it has answered."""
    return _api.AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
