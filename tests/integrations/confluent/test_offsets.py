"""Offsets that confluent-kafka's consumers really committed, and how far behind they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from confluent_kafka import KafkaException, TopicPartition

from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.mock_cluster import OFFSET_COMMIT, MockCluster
from tests.integrations.confluent.clients import (
    bare_class,
    cluster_of,
    consumer_config,
    from_start,
    make,
    read,
    tags,
    until,
)

Topic = Callable[..., str]
REPORTED_ALL = ("wrap(class)", "instrument")
"""Of an object that was made before, `on_commit` is the program's own: only what it waits for is seen."""


def fill(kafka: Kafka, topic: str, count: int) -> None:
    bare = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for _ in range(count):
        bare.produce(topic, "v", partition=0)
    assert bare.flush(60) == 0


def commits(captured: Captured) -> list[int]:
    return [offset for found, offset in captured.backlogs.items() if "type:kafka_commit" in found]


def test_commit_that_waits_is_recorded(kafka: Kafka, topic: Topic, way: str, captured_streams: Captured) -> None:
    name, group = topic(), topic(prefix="group")
    fill(kafka, name, 10)
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka, group)), name)
    messages = read(consumer, 6)
    assert commits(captured_streams) == []
    expected = tags("kafka_commit", name, cluster_of(consumer), group)
    assert consumer.commit(message=messages[1], asynchronous=False)[0].offset == 2
    assert captured_streams.backlogs == {expected: 2}
    consumer.commit(offsets=[TopicPartition(name, 0, 4)], asynchronous=False)
    assert captured_streams.backlogs == {expected: 4}
    consumer.commit(asynchronous=False)
    assert captured_streams.backlogs == {expected: 6}
    consumer.close()


def test_commit_reported_to_on_commit_is_recorded(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, group, reports = topic(), topic(prefix="group"), list[Any]()
    fill(kafka, name, 10)
    options = {"on_commit": lambda error, partitions: reports.append((error, partitions[0].offset))}
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka, group, **options)), name)
    messages = read(consumer, 5)
    for number, kwargs in enumerate([{"message": messages[1]}, {"offsets": [TopicPartition(name, 0, 3)]}, {}], 1):
        assert consumer.commit(**kwargs) is None
        assert len(commits(captured_streams)) == (number > 1 and way in REPORTED_ALL)
        until(partial(lambda number: len(reports) == number, number), lambda: consumer.consume(1, 0.05))
        assert commits(captured_streams) == ([reports[-1][1]] if way in REPORTED_ALL else [])
    assert [offset for _, offset in reports[:2]] == [2, 3]
    consumer.close()


def test_stored_offset_is_recorded_when_it_is_committed(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, group, reports = topic(), topic(prefix="group"), list[Any]()
    fill(kafka, name, 10)
    options = {
        "enable.auto.commit": True,
        "enable.auto.offset.store": False,
        "auto.commit.interval.ms": 50,
        "on_commit": lambda error, partitions: reports.append(error),
    }
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka, group, **options)), name)
    messages = read(consumer, 10)
    assert commits(captured_streams) == []
    consumer.store_offsets(messages[3])
    assert commits(captured_streams) == []
    until(lambda: reports, lambda: consumer.poll(0.05))
    assert commits(captured_streams) == ([4] if way in REPORTED_ALL else [])
    consumer.store_offsets(offsets=[TopicPartition(name, 0, 7)])
    consumer.close()  # commits
    assert commits(captured_streams) == ([7] if way in REPORTED_ALL else [])


def test_commit_that_fails_is_not_recorded(mock_kafka: MockCluster, way: str, captured_streams: Captured) -> None:
    name = mock_kafka.topic()
    fill(mock_kafka, name, 3)
    consumer, errors = from_start(make(way, mock_kafka, "Consumer", **consumer_config(mock_kafka)), name), list[Any]()
    read(consumer, 3)
    refused = 29  # TOPIC_AUTHORIZATION_FAILED
    mock_kafka.push_errors(OFFSET_COMMIT, refused)
    with pytest.raises(KafkaException):
        consumer.commit(asynchronous=False)
    mock_kafka.push_errors(OFFSET_COMMIT, refused)
    consumer.commit()
    for _ in range(10):
        consumer.poll(0.05)
    assert commits(captured_streams) == []
    mock_kafka.clear_errors(OFFSET_COMMIT)
    consumer.commit(asynchronous=False)
    assert commits(captured_streams) == [3]
    assert not errors
    consumer.close()


def test_error_of_the_programs_on_commit_reaches_the_program(kafka: Kafka, topic: Topic, way: str) -> None:
    name, called = topic(), list[int]()
    fill(kafka, name, 1)

    def on_commit(error: Any, partitions: Any) -> None:
        called.append(1)
        raise ZeroDivisionError

    options = consumer_config(kafka, topic(prefix="group"), on_commit=on_commit)
    consumer = from_start(make(way, kafka, "Consumer", **options), name)
    read(consumer, 1)
    consumer.commit()
    with pytest.raises(ZeroDivisionError):
        until(lambda: called, lambda: consumer.poll(0.05))
    consumer.close()


def test_lag_comes_from_what_the_client_holds(kafka: Kafka, topic: Topic, way: str, captured_streams: Captured) -> None:
    name, group = topic(), topic(prefix="group")
    fill(kafka, name, 10)
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka, group)), name)

    def lags() -> list[tuple[Any, ...]]:
        return [(lag.group, lag.partition, lag.behind, lag.end) for lag in current_lags() if lag.topic == name]

    read(consumer, 4)
    until(lambda: lags() == [(group, 0, 0, 10)], lambda: consumer.poll(0.05))
    fill(kafka, name, 3)
    until(lambda: lags() == [(group, 0, 0, 13)], lambda: consumer.poll(0.05))
    consumer.unassign()
    until(lambda: lags() == [], lambda: consumer.poll(0.05))
    from_start(consumer, name)
    until(lambda: lags() == [(group, 0, 0, 13)], lambda: consumer.poll(0.05))
    consumer.close()
    assert lags() == []


def test_lag_in_the_middle_of_a_partition_is_right(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name = topic()
    fill(kafka, name, 10)
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), name)
    lag = consumer._asyncdsm.lag
    read(consumer, 4)
    lag._look_at = 0.0
    read(consumer, 1)
    assert [(lag.behind, lag.end) for lag in current_lags() if lag.topic == name] == [(5, 10)]
    consumer.close()
