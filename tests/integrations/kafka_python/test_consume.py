"""Receiving records: which count, and what the program gets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from kafka.structs import TopicPartition

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.core.lag import Lag, current_lags
from asyncdsm.testing import Captured
from tests.integrations.kafka_python.conftest import Make, poll_all

Topic = Callable[..., str]


def lags(topic: str) -> list[Lag]:
    return [lag for lag in current_lags() if lag.topic == topic]


def test_record_without_context_begins_a_pathway_at_the_brokers_time(
    make: Make, make_bare: Make, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    make_bare().send(name, b"v", timestamp_ms=int(time.time() * 1000) - 60_000).get(30)
    next(make(name))
    (made,) = captured_streams.checkpoints
    assert (made.parent, 60 <= made.pathway_latency < 90) == (0, True)
    assert made.size == 1


@pytest.mark.parametrize("value", [b"", b"\xff\xff", b"%", b"x" * 1000], ids=["empty", "bytes", "text", "long"])
def test_context_that_cannot_be_read_begins_a_pathway(
    value: bytes, make: Make, make_bare: Make, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    make_bare().send(name, b"v", headers=[(HEADER, value), ("a", b"")]).get(30)
    record = next(make(name))
    assert record.headers == [(HEADER, value), ("a", b"")]
    assert [made.parent for made in captured_streams.checkpoints] == [0]
    assert captured_streams.stats().errors == 0


def test_polled_records_are_a_dict_of_lists(make_by: Make, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    producer = make_by()
    for number in range(3):
        producer.send(name, b"%d" % number)
    producer.flush()
    consumer, records = make_by(name), list[Any]()
    while len(records) < 3:
        batches = consumer.poll(timeout_ms=10_000, max_records=2)
        assert isinstance(batches, dict)
        for partition, batch in batches.items():
            assert partition == TopicPartition(name, 0)
            assert isinstance(batch, list)
            records += list(batch)
    assert [record.value for record in records] == [b"0", b"1", b"2"]
    assert len(captured_streams.consumed(name)) == 3


def test_seek_in_a_loop_counts_each_delivery(make: Make, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    producer = make()
    for number in range(3):
        producer.send(name, b"%d" % number)
    producer.flush()
    consumer, seen = make(name), list[bytes]()
    for record in consumer:
        seen.append(record.value)
        if len(seen) == 2:
            consumer.seek(TopicPartition(name, 0), 0)
        if len(seen) == 5:
            break
    assert seen == [b"0", b"1", b"0", b"1", b"2"]
    assert len(captured_streams.consumed(name)) == 5


def test_lag_is_what_is_still_to_be_read(make_by: Make, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    producer = make_by()
    for _ in range(5):
        producer.send(name, b"v")
    producer.flush()
    consumer = make_by(name, group_id="billing")
    next(consumer)
    next(consumer)
    (lag,) = lags(name)
    assert (lag.group, lag.partition, lag.behind, lag.end) == ("billing", 0, 3, 5)
    consumer.close()
    assert lags(name) == []


def test_uninstrumented_consumer_reports_no_lag(make_bare: Make, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    make_bare().send(name, b"v").get(30)
    asyncdsm.instrument("kafka")
    try:
        next(make_bare(name))
        assert len(lags(name)) == 1
    finally:
        asyncdsm.uninstrument("kafka")
    assert lags(name) == []
    assert poll_all(make_bare(name), 1)
    assert len(captured_streams.consumed(name)) == 1
