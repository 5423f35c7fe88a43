"""confluent-kafka's consumers on a real broker: single messages, batches, share groups, and what others sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.serialization import StringDeserializer

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.integration.consumed_list import ConsumedList
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.mock_cluster import MockCluster
from tests.integrations.confluent.clients import (
    bare_class,
    cluster_of,
    consumer_config,
    from_start,
    make,
    read,
    until,
)

Topic = Callable[..., str]


@pytest.fixture
def consumer(kafka: Kafka, way: str) -> Iterator[Any]:
    consumer = make(way, kafka, "Consumer", **consumer_config(kafka))
    yield consumer
    consumer.close()


def fill(kafka: Kafka, topic: str, *headers: Any) -> None:
    bare = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for number, given in enumerate(headers):
        bare.produce(topic, str(number), "key", 0, headers=given)
    assert bare.flush(60) == 0


def carried(hash_: int) -> list[tuple[str, bytes]]:
    return [(HEADER, Pathway(hash_, time_ns(), time_ns()).encode_base64().encode())]


def test_message_is_current_until_the_next_poll(
    kafka: Kafka, topic: Topic, consumer: Any, captured_streams: Captured
) -> None:
    name, empty = topic(), topic()
    fill(kafka, name, carried(5), [("a", b"b")], None)
    from_start(consumer, name)
    hashes = list[int | None]()
    for _ in range(3):
        read(consumer, 1)
        current = asyncdsm.current_pathway()
        hashes.append(current and current.hash)
    made = captured_streams.consumed(name)
    assert [each.hash for each in made] == hashes
    assert [each.parent for each in made] == [5, 0, 0]
    assert 0 < made[1].edge_latency < 60  # since the broker's timestamp
    assert [each.size for each in made] == [1 + 3 + len(HEADER) + 28, 1 + 3 + 2, 1 + 3]
    assert consumer.poll(0.01) is None
    assert asyncdsm.current_pathway() is None
    from_start(consumer, empty)
    assert consumer.poll(0.01) is None
    cluster = cluster_of(consumer)
    place = [f"kafka_cluster_id:{cluster}"] if cluster else []
    assert made[0].tags == ("direction:in", "group:g", *place, f"topic:{name}", "type:kafka")


def test_batch_of_several_topics_is_followed_message_by_message(
    kafka: Kafka, topic: Topic, consumer: Any, captured_streams: Captured
) -> None:
    names = [topic(), topic()]
    for at, name in enumerate(names):
        fill(kafka, name, *[carried(100 * at + number + 1) for number in range(20)])
    consumer.assign([confluent_kafka.TopicPartition(name, 0, 0) for name in names])
    messages = list[Any]()

    def batch() -> None:
        got = consumer.consume(num_messages=500, timeout=0.5)
        assert isinstance(got, list)
        assert asyncdsm.current_pathway() is None
        for message in got:
            with asyncdsm.using(message) as pathway:
                assert asyncdsm.current_pathway() == pathway
            assert asyncdsm.current_pathway() == pathway
        assert asyncdsm.current_pathway() is None
        if got:
            assert type(got) is ConsumedList
        messages.extend(got)

    until(lambda: len(messages) >= 40, batch)
    assert sorted(made.parent for made in captured_streams.consumed(names[1])) == list(range(101, 121))
    for name in names:
        assert {made.topic for made in captured_streams.checkpoints if made.parent // 100 == names.index(name)} == {
            name
        }


def test_using_a_message_restores_the_time_it_was_consumed(
    kafka: Kafka, topic: Topic, consumer: Any, captured_streams: Captured
) -> None:
    name = topic()
    fill(kafka, name, carried(5), None)
    from_start(consumer, name)
    for message in read(consumer, 2):
        made = captured_streams.consumed(name)[message.offset()]
        with asyncdsm.using(message) as pathway:
            assert pathway is not None
            assert (pathway.hash, pathway.edge_start_ns) == (made.hash, made.time_ns)
    assert len(captured_streams.checkpoints) == 2


def test_header_of_another_producer_is_continued_or_ignored(
    kafka: Kafka, topic: Topic, consumer: Any, captured_streams: Captured
) -> None:
    known = Pathway(99, time_ns() - 10**9, time_ns() - 10**9)
    variants: list[tuple[Any, int]] = [
        ([(HEADER, known.encode_base64().encode())], 99),
        ([(LEGACY_HEADER, known.encode())], 99),
        ([(LEGACY_HEADER, Pathway(1, 1, 1).encode()), (HEADER, known.encode_base64().encode())], 99),
        ([(HEADER, None)], 0),
        ([(HEADER, b"\xff\xfe")], 0),
        ([(HEADER, b"")], 0),
        ([(LEGACY_HEADER, b"junk")], 0),
        (None, 0),
    ]
    name = topic()
    fill(kafka, name, *[headers for headers, _ in variants])
    messages = read(from_start(consumer, name), len(variants))
    assert [message.headers() for message in messages] == [headers for headers, _ in variants]
    assert [made.parent for made in captured_streams.consumed(name)] == [parent for _, parent in variants]


def test_deserializing_consumer_is_followed(kafka: Kafka, topic: Topic, way: str, captured_streams: Captured) -> None:
    name = topic()
    fill(kafka, name, carried(5), None)
    options: dict[str, Any] = {
        "key.deserializer": StringDeserializer(),
        "value.deserializer": lambda value, _: int(value),
    }
    consumer = make(way, kafka, "DeserializingConsumer", **consumer_config(kafka, **options))
    messages = read(from_start(consumer, name), 2)
    assert [(message.key(), message.value()) for message in messages] == [("key", 0), ("key", 1)]
    assert [made.parent for made in captured_streams.consumed(name)] == [5, 0]
    assert captured_streams.consumed(name)[1].size == 4
    with asyncdsm.using(messages[1]) as pathway:
        assert pathway is not None
        assert pathway.hash == captured_streams.consumed(name)[1].hash
    with pytest.raises(NotImplementedError):
        consumer.consume()
    consumer.close()


def test_error_event_is_not_counted(mock_kafka: MockCluster, way: str, captured_streams: Captured) -> None:
    name = mock_kafka.topic()
    options = consumer_config(mock_kafka, **{"enable.partition.eof": True})
    consumer, errors = from_start(make(way, mock_kafka, "Consumer", **options), name), list[Any]()

    def poll() -> None:
        message = consumer.poll(0.1)
        errors.extend([message] if message is not None else [])

    until(lambda: errors, poll)
    assert errors[0].error().code() == confluent_kafka.KafkaError._PARTITION_EOF
    assert (captured_streams.checkpoints, asyncdsm.current_pathway()) == ([], None)
    consumer.close()


def test_share_consumer_is_followed(mock_kafka: MockCluster, way: str, captured_streams: Captured) -> None:
    if not hasattr(confluent_kafka, "ShareConsumer"):
        return  # came with 2.16
    name, seen = mock_kafka.topic(), list[tuple[Any, Any]]()
    config = {"bootstrap.servers": mock_kafka.bootstrap, "group.id": "sharers", "log_level": 0}
    consumer = make(way, mock_kafka, "ShareConsumer", **config)
    consumer.subscribe([name])

    def poll() -> None:
        fill(mock_kafka, name, carried(5), carried(6))
        messages = consumer.poll(0.5)
        assert type(messages) is confluent_kafka.Messages
        assert asyncdsm.current_pathway() is None
        seen.extend((message, asyncdsm.current_pathway()) for message in messages)
        assert asyncdsm.current_pathway() is None

    until(lambda: len(seen) >= 2, poll)
    consumer.close()
    made = captured_streams.consumed(name)
    assert [pathway and pathway.hash for _, pathway in seen] == [each.hash for each in made]
    assert {each.parent for each in made} == {5, 6}
    if way != "wrap(object)":  # which group an object is in, it does not say
        assert {each.tag("group") for each in made} == {"sharers"}


def test_pathway_through_two_services_follows_each_hop(
    kafka: Kafka, topic: Topic, way: str, consumer: Any, captured_streams: Captured
) -> None:
    orders, invoices, producer = topic(), topic(), make(way, kafka, "Producer")
    producer.produce(orders, b"v")
    producer.flush(30)
    read(from_start(consumer, orders), 1)
    producer.produce(invoices, b"v")
    producer.flush(30)
    read(from_start(consumer, invoices), 1)
    sent, read_, invoiced, shipped = captured_streams.checkpoints
    assert read_.follows(sent)
    assert invoiced.follows(read_)
    assert shipped.follows(invoiced)
    current.set_current(None)


def test_rebalance_callback_gets_the_consumer_that_the_program_has(
    mock_kafka: MockCluster, way: str, captured_streams: Captured
) -> None:
    name, met = mock_kafka.topic(), list[Any]()
    consumer = make(way, mock_kafka, "Consumer", **consumer_config(mock_kafka))
    consumer.subscribe([name], on_assign=lambda one, partitions: met.append(one))
    until(lambda: met, lambda: consumer.poll(0.1))
    assert met[0] is consumer
    consumer.close()
