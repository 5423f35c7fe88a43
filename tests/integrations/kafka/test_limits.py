"""Messages at the limits of Apache Kafka: its largest sizes, many and odd headers, compressed batches of thousands.

The limit of a topic, `max.message.bytes`, is not known to a client. If a context pushes a message over it, that message
fails, as one that is too large does; no other one to that topic fails because of its context.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from confluent_kafka import KafkaError

from asyncdsm.core.context import HEADER
from asyncdsm.integration.formats.kafka import HEADER_RESERVE
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import (
    bare_class,
    consumer_config,
    contexts,
    from_start,
    make,
    on_broker,
    others,
    read,
    until,
)
from tests.integrations.kafka.broker_side import context_header

Topic = Callable[..., str]
LIMIT = 10_000
SMALL: dict[str, dict[str, str]] = {"config": {"max.message.bytes": str(LIMIT)}}
CONTEXT_BYTES = len(HEADER) + 28
HUGE = 4_000_000
COUNT = 10_000
ODD_HEADERS: dict[str, list[tuple[str, bytes | None]]] = {
    "thousands": [(f"h{number}", b"%d" % number) for number in range(3000)],
    "values of 1 MB": [("a", b"x" * 1_000_000), ("b", b"y" * 1_000_000)],
    "the same key twice": [("a", b"1"), ("a", b"2"), ("a", b"1")],
    "empty keys and values": [("", b""), ("", b"1"), ("a", b""), ("b", None)],
    "values that are no UTF-8": [("a", b"\xff\xfe\x00"), ("ä", b"\xc3\x28")],
}


def deliver(producer: Any, topic: str, size: int, **options: Any) -> bool:
    """Send a message of this size, and say whether the broker took it. It may only be too large."""
    reports = list[KafkaError | None]()
    producer.produce(topic, b"x" * size, on_delivery=lambda error, _: reports.append(error), **options)
    assert producer.flush(60) == 0
    (error,) = reports
    assert error is None or error.code() == KafkaError.MSG_SIZE_TOO_LARGE
    return error is None


@cache
def largest_bare(kafka_bootstrap: str, topic: str) -> int:
    """Return the size of the largest message that a topic takes without a header."""
    bare = bare_class("Producer")({"bootstrap.servers": kafka_bootstrap, "log_level": 0})
    size = next(size for size in range(LIMIT, 0, -1) if deliver(bare, topic, size))
    assert LIMIT - 100 < size < LIMIT
    return size


def test_context_costs_a_topic_one_message_at_most(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    largest, name, other = largest_bare(kafka.bootstrap, topic(**SMALL)), topic(**SMALL), topic(**SMALL)
    producer = make(way, kafka, "Producer")
    assert not deliver(producer, name, largest)
    assert all(deliver(producer, name, size) for size in range(largest, largest - HEADER_RESERVE, -1))
    assert not deliver(producer, name, largest + 1)
    assert deliver(producer, name, 10)
    assert deliver(producer, other, largest - CONTEXT_BYTES - 10)  # another topic has a limit of its own
    sent = [len(contexts(message)) for message in on_broker(kafka, name, HEADER_RESERVE + 1)]
    assert sent == sorted(sent)
    assert sum(sent) == HEADER_RESERVE - (HEADER_RESERVE - CONTEXT_BYTES) + 1
    assert [len(contexts(message)) for message in on_broker(kafka, other, 1)] == [1]
    assert captured_streams.stats().not_propagated == sent.count(0) + 1
    assert len([record for record in caplog.records if f"topic {name}" in record.getMessage()]) == 1


def test_message_has_room_where_the_client_has_the_topics_limit(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    """A client that was made before it was followed does not tell its settings: the broker does."""
    largest, name = largest_bare(kafka.bootstrap, topic(**SMALL)), topic(**SMALL)
    producer = make(way, kafka, "Producer", **{"message.max.bytes": LIMIT})
    sizes = range(largest, largest - 2 * HEADER_RESERVE, -1)
    assert [deliver(producer, name, size) for size in sizes].count(False) == (1 if way == "wrap(object)" else 0)
    assert all(deliver(producer, name, size) for size in sizes)
    assert contexts(on_broker(kafka, name, 2 * len(sizes) - 1)[-1]) != []
    assert captured_streams.stats().not_propagated > 0


def test_forwarded_context_makes_room_for_the_new_one(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, producer = topic(**SMALL), make(way, kafka, "Producer", **{"message.max.bytes": LIMIT})
    forwarded = [("a", b"1"), context_header(41)]
    size = largest_bare(kafka.bootstrap, topic(**SMALL)) - 70
    assert deliver(producer, name, size, headers=forwarded)
    (message,) = on_broker(kafka, name, 1)
    assert message.headers()[0] == ("a", b"1")
    assert [each.hash for each in contexts(message)] == [each.hash for each in captured_streams.produced(name)]


def test_small_messages_rejected_with_a_large_one_keep_their_contexts(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, reports = topic(**SMALL), list[KafkaError | None]()
    producer = make(way, kafka, "Producer", **{"linger.ms": 500})
    for size in (10, 2 * LIMIT, 10):
        producer.produce(name, b"x" * size, on_delivery=lambda error, _: reports.append(error))
    assert producer.flush(60) == 0
    assert [error.code() if error else None for error in reports] == [KafkaError.MSG_SIZE_TOO_LARGE] * 3
    assert deliver(producer, name, 10)
    assert [len(contexts(message)) for message in on_broker(kafka, name, 1)] == [1]
    assert captured_streams.stats().not_propagated == 0


@pytest.mark.parametrize("kind", ODD_HEADERS)
def test_headers_of_any_kind_pass_and_count(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured, kind: str
) -> None:
    name, headers = topic(config={"max.message.bytes": str(HUGE)}), ODD_HEADERS[kind]
    producer = make(way, kafka, "Producer", **{"message.max.bytes": HUGE})
    assert deliver(producer, name, 5, key="ä", headers=list(headers))
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), name)
    (message,) = read(consumer, 1)
    consumer.close()
    (produced,), (consumed,) = captured_streams.produced(name), captured_streams.consumed(name)
    assert others(message) == headers
    assert [each.hash for each in contexts(message)] == [produced.hash]
    assert consumed.follows(produced)
    size = 5 + len("ä".encode()) + sum(len(key.encode()) + len(value or b"") for key, value in headers)
    assert produced.size == consumed.size == size + CONTEXT_BYTES


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batch_of_ten_thousand_counts_each_message(
    kafka: Kafka, topic: Topic, captured_streams: Captured, codec: str
) -> None:
    name, got = topic(), list[bytes]()
    producer = make("wrap(class)", kafka, "Producer", **{"compression.type": codec, "linger.ms": 100})
    for number in range(COUNT):
        producer.produce(name, b"%d" % number)
    assert producer.flush(60) == 0
    consumer = from_start(make("wrap(class)", kafka, "Consumer", **consumer_config(kafka)), name)
    until(
        lambda: len(got) == COUNT,
        lambda: got.extend(message.value() for message in consumer.consume(COUNT - len(got), 1.0)),
    )
    consumer.close()
    assert got == [b"%d" % number for number in range(COUNT)]
    produced, consumed = captured_streams.produced(name), captured_streams.consumed(name)
    assert len(produced) == len(consumed) == COUNT
    assert {made.parent for made in consumed} == {made.hash for made in produced}
    assert [made.size for made in consumed] == [made.size for made in produced]
    assert [offset for tags, offset in captured_streams.backlogs.items() if "type:kafka_produce" in tags] == [COUNT - 1]
