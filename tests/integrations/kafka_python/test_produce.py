"""Sending records: which are counted, and with which headers they are sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kafka.errors import KafkaError
from kafka.serializer import Serializer

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.kafka_python.conftest import Make, poll_all

Topic = Callable[..., str]


def test_record_has_a_context_and_the_callers_headers_stay(
    make_by: Make, make_bare: Make, topic: Topic, captured_streams: Captured
) -> None:
    name, headers = topic(), [("mine", b"1")]
    make_by().send(name, b"value", b"key", headers=headers).get(30)
    assert headers == [("mine", b"1")]
    (made,) = captured_streams.checkpoints
    ((record,),) = poll_all(make_bare(name), 1)
    assert (record.key, record.value, record.headers[0]) == (b"key", b"value", ("mine", b"1"))
    pathway = Pathway.decode_base64(dict(record.headers)[HEADER].decode())
    assert pathway is not None
    assert pathway.hash == made.hash
    assert made.size == len("valuekeymine1" + HEADER) + len(dict(record.headers)[HEADER])


def test_serialized_values_are_measured_and_reach_the_broker(
    make: Make, make_bare: Make, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()

    class Json(Serializer):  # type: ignore[misc]
        def serialize(self, topic: str, headers: Any, data: Any) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride]
            return json.dumps(data).encode()

    producer = make(value_serializer=Json())
    producer.send(name, value={"a": 1}, partition=0, timestamp_ms=1_700_000_000_000).get(30)
    ((record,),) = poll_all(make_bare(name), 1)
    assert (record.value, record.timestamp) == (b'{"a": 1}', 1_700_000_000_000)
    assert len(captured_streams.produced(name)) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"value": b"v", "headers": {"a": b"b"}}, TypeError),
        ({"value": b"v", "headers": [("a", "b")]}, TypeError),
        ({"value": "text"}, (TypeError, AssertionError)),
        ({"value": b"v" * 2_000_000}, KafkaError),
        ({}, (ValueError, AssertionError)),
    ],
    ids=["dict", "string", "value", "too large", "nothing"],
)
def test_record_that_the_client_rejects_is_not_counted(
    arguments: dict[str, Any], error: Any, make: Make, topic: Topic, captured_streams: Captured
) -> None:
    producer, name = make(), topic()
    with pytest.raises(error):
        producer.send(name, **arguments).get(30)
    assert captured_streams.checkpoints == []
    assert captured_streams.stats().errors == 0


def test_record_close_to_the_largest_size_is_sent_without_context(
    make: Make, topic: Topic, captured_streams: Captured
) -> None:
    producer, name = make(max_request_size=10_000), topic()
    producer.send(name, b"v" * 9_880).get(30)
    producer.send(name, b"v" * 9_000).get(30)
    assert len(captured_streams.produced(name)) == 2
    assert captured_streams.stats().not_propagated == 1


def test_topic_with_smaller_limit_costs_at_most_one_record(
    make: Make, topic: Topic, captured_streams: Captured
) -> None:
    producer, name = make(retries=0), topic(config={"max.message.bytes": "2000"})
    sizes = [1880] * 3
    failed = 0
    for size in sizes:
        try:
            producer.send(name, b"v" * size).get(30)
        except KafkaError:
            failed += 1
    assert failed == 1
    assert captured_streams.stats().not_propagated == 2


def test_record_of_sticky_partitions_counts_once(make: Make, topic: Topic, captured_streams: Captured) -> None:
    producer, name = make(batch_size=200), topic(partitions=3)
    for _ in range(300):
        producer.send(name, b"v" * 50)
    producer.flush()
    assert len(captured_streams.produced(name)) == 300
