"""Offsets: those that were acknowledged, those that were committed, and transactions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition

from asyncdsm.testing import Captured
from tests.integrations.kafka_python.conftest import Make, poll_all

Topic = Callable[..., str]


def backlogs(captured: Captured, kind: str, topic: str) -> dict[str, int]:
    """Return the offsets of a topic, by partition and, for commits, group."""
    found = dict[str, int]()
    for tags, offset in captured.backlogs.items():
        named = dict(tag.split(":", 1) for tag in tags)
        if named["type"] == kind and named["topic"] == topic:
            found[named["partition"] + named.get("consumer_group", "")] = offset
    return found


def until_backlogs(captured: Captured, kind: str, topic: str, expected: dict[str, int], act: Any = None) -> None:
    """Wait for these offsets."""
    deadline = time.monotonic() + 30
    while backlogs(captured, kind, topic) != expected:
        assert time.monotonic() < deadline, captured.backlogs
        if act is not None:
            act()
        time.sleep(0.02)


def fill(producer: Any, topic: str, number: int) -> None:
    for _ in range(number):
        producer.send(topic, b"v", partition=0)
    producer.flush()


def test_acknowledged_offsets_are_recorded(make_by: Make, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    fill(make_by(), name, 5)
    until_backlogs(captured_streams, "kafka_produce", name, {"0": 4})


def test_offsets_without_acknowledgment_are_not_recorded(make: Make, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    fill(make(acks=0), name, 5)
    assert backlogs(captured_streams, "kafka_produce", name) == {}
    assert len(captured_streams.produced(name)) == 5


@pytest.mark.parametrize("how", ["commit", "commit_async", "auto", "close"])
def test_committed_offsets_are_recorded(how: str, make_by: Make, topic: Topic, captured_streams: Captured) -> None:
    name, group = topic(), f"g{uuid4().hex[:8]}"
    fill(make_by(), name, 5)
    is_automatic = how in ("auto", "close")
    consumer = make_by(name, group_id=group, enable_auto_commit=is_automatic, auto_commit_interval_ms=100)
    poll_all(consumer, 5)
    if not is_automatic:
        getattr(consumer, how)()
    elif how == "close":
        consumer.close()
    poll = None if how == "close" else lambda: consumer.poll(timeout_ms=50)
    until_backlogs(captured_streams, "kafka_commit", name, {f"0{group}": 5}, poll)


def test_commit_that_fails_is_not_recorded(make: Make, topic: Topic, captured_streams: Captured) -> None:
    name, group = topic(), f"g{uuid4().hex[:8]}"
    fill(make(), name, 1)
    consumer = make(name, group_id=group, enable_auto_commit=False)
    poll_all(consumer, 1)
    consumer._coordinator._generation = type(consumer._coordinator._generation)(10_000, "nobody", "range")
    with pytest.raises(KafkaError):
        consumer.commit({TopicPartition(name, 0): OffsetAndMetadata(1, "", -1)})
    assert backlogs(captured_streams, "kafka_commit", name) == {}


@pytest.mark.parametrize("commits", [True, False])
def test_offsets_of_a_transaction_count_when_it_is_committed(
    commits: bool, make_by: Make, topic: Topic, captured_streams: Captured
) -> None:
    name, passed, group = topic(), topic(), f"g{uuid4().hex[:8]}"
    fill(make_by(), name, 3)
    consumer = make_by(name, group_id=group, enable_auto_commit=False)
    producer = make_by(transactional_id=f"t{uuid4().hex[:8]}")
    producer.init_transactions()
    poll_all(consumer, 3)
    producer.begin_transaction()
    producer.send(passed, b"v")
    producer.send_offsets_to_transaction({TopicPartition(name, 0): OffsetAndMetadata(3, "", -1)}, group)
    assert backlogs(captured_streams, "kafka_commit", name) == {}
    producer.commit_transaction() if commits else producer.abort_transaction()
    assert backlogs(captured_streams, "kafka_commit", name) == ({f"0{group}": 3} if commits else {})
