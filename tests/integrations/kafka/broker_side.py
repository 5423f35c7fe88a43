"""What Kafka itself says and holds, found out and put there by clients that are not followed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from time import time_ns
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka import admin as kafka_admin
from confluent_kafka.admin import AdminClient

from asyncdsm import Pathway
from asyncdsm.core.lag import current_lags
from asyncdsm.core.pathway import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import bare_class

ADMIN: Any = kafka_admin
"""Its parts, which declare neither themselves nor their types."""

Offsets = dict[tuple[str, int], int]
"""Offsets by topic and partition."""


def context_header(number: int) -> tuple[str, bytes]:
    """Return the header of a pathway whose hash is `number` + 1, and whose times are now."""
    return HEADER, Pathway(number + 1, time_ns(), time_ns()).wire()


def put_messages(kafka: Kafka, topic: str, numbers: Iterable[int], **options: Any) -> None:
    """Produce a message for each number, which is its value and the hash - 1 of the pathway that it carries."""
    with bare_producer(kafka) as bare:
        for number in numbers:
            bare.produce(topic, str(number), headers=[context_header(number)], **options)


@contextmanager
def bare_producer(kafka: Kafka, **options: Any) -> Iterator[Any]:
    """A producer that is not followed; at the end, all its messages were acknowledged."""
    bare = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0, **options})
    yield bare
    assert bare.flush(60) == 0


def ask_admin(kafka: Kafka, ask: Callable[[AdminClient], dict[Any, Future[Any]]]) -> Any:
    """Return the one answer to a question to Kafka's admin client."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})  # it answers while it is referenced
    (answer,) = ask(admin).values()
    return answer.result(30)


def committed_offsets(kafka: Kafka, group: str) -> Offsets:
    """Return what a group has committed, as Kafka's admin client says."""
    answer = ask_admin(kafka, lambda admin: admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    return {(tp.topic, tp.partition): tp.offset for tp in answer.topic_partitions}


def end_offset(kafka: Kafka, topic: str, partition: int = 0) -> int:
    """Return the end of a partition, as kafka-consumer-groups asks for it: open transactions belong to it."""
    place = TopicPartition(topic, partition)
    offset: int = ask_admin(kafka, lambda admin: admin.list_offsets({place: ADMIN.OffsetSpec.latest()})).offset
    return offset


def group_lag(kafka: Kafka, group: str, topic: str) -> int:
    """Return the lag that kafka-consumer-groups shows for partition 0: the end without what was committed."""
    return end_offset(kafka, topic) - committed_offsets(kafka, group)[topic, 0]


def delete_before(kafka: Kafka, topic: str, offset: int) -> None:
    """Delete the records of partition 0 below an offset."""
    answer = ask_admin(kafka, lambda admin: admin.delete_records([TopicPartition(topic, 0, offset)]))
    assert answer.low_watermark == offset


def set_config(kafka: Kafka, topic: str, name: str, value: str) -> None:
    """Set one part of a topic's configuration."""
    entry = ADMIN.ConfigEntry(name, value, incremental_operation=ADMIN.AlterConfigOpType.SET)
    resource = ADMIN.ConfigResource(ADMIN.ResourceType.TOPIC, topic, incremental_configs=[entry])
    ask_admin(kafka, lambda admin: admin.incremental_alter_configs([resource]))


def recorded_commits(captured: Captured, group: str) -> Offsets:
    """Return the offsets that asyncdsm has recorded for a group."""
    found = {}
    for tags, offset in captured.backlogs.items():
        named = dict(tag.split(":", 1) for tag in tags)
        if named["type"] == "kafka_commit" and named["consumer_group"] == group:
            found[named["topic"], int(named["partition"])] = offset
    return found


def recorded_lag(group: str) -> list[int]:
    """Return the lags that asyncdsm reports for a group, one for each partition that its consumers know."""
    return [lag.behind for lag in current_lags() if lag.group == group]
