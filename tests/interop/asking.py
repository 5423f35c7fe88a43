"""What the brokers themselves say."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from tests.brokers.kafka import Kafka


def ask_lag(kafka: Kafka, group: str, topic: str) -> int:
    """Ask Kafka how many messages a group is behind in the one partition of a topic."""
    partition = TopicPartition(topic, 0)
    module: Any = import_module("confluent_kafka.admin")  # which is partly untyped
    admin = module.AdminClient({"bootstrap.servers": kafka.bootstrap})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [partition])])
    (committed,) = asked[group].result().topic_partitions
    end = admin.list_offsets({partition: module.OffsetSpec.latest()})[partition].result().offset
    return int(end - committed.offset)
