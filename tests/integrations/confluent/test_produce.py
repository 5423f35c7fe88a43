"""confluent-kafka's producers on a real broker: headers, callbacks, offsets, what counts and what does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.serialization import StringSerializer

import asyncdsm
from asyncdsm import Pathway
from asyncdsm._internal import log
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.mock_cluster import PRODUCE, MockCluster
from tests.integrations.confluent.clients import bare_class, cluster_of, contexts, make, on_broker, others, tags

Topic = Callable[..., str]


def test_headers_given_in_any_way_are_sent_with_the_context(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, producer = topic(), make(way, kafka, "Producer")
    pairs: list[tuple[str, Any]] = [("a", b"\xff\x00"), ("none", None), ("a", "text")]
    as_dict = {"b": b"1", "c": None}
    kept = list(pairs), dict(as_dict)
    producer.produce(name, b"v")
    producer.produce(topic=name, value=b"v", headers=None)
    producer.produce(name, value="v", headers=pairs)
    producer.produce(name, b"v", b"k", 0, None, None, 0, pairs)
    producer.produce(name, headers=as_dict)
    assert producer.flush(30) == 0
    assert (pairs, as_dict) == kept
    messages = on_broker(kafka, name, 5)
    there = [("a", b"\xff\x00"), ("none", None), ("a", b"text")]
    assert [others(message) for message in messages] == [[], [], there, there, [("b", b"1"), ("c", None)]]
    assert [[pathway.hash for pathway in contexts(message)] for message in messages] == [
        [made.hash] for made in captured_streams.produced(name)
    ]
    sizes = [len(HEADER) + 28 + more for more in (1, 1, 1 + 12, 2 + 12, 3)]
    assert [made.size for made in captured_streams.produced(name)] == sizes


def test_message_that_c_rejects_is_rejected_and_not_counted(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    producer, bare = make(way, kafka, "Producer"), bare_class("Producer")({"bootstrap.servers": kafka.bootstrap})
    wrong: list[dict[str, Any]] = [
        {"headers": (("a", b"b"),)},
        {"headers": 3},
        {"headers": [("a", 3)]},
        {"value": 3},
        {"partition": "x"},
        {"value": b"x" * 2_000_000},
    ]
    for options in wrong:
        with pytest.raises((TypeError, KafkaException)) as theirs:
            bare.produce("t", **options)
        with pytest.raises(type(theirs.value)) as raised:
            producer.produce("t", **options)
        assert str(raised.value) == str(theirs.value)
    assert captured_streams.checkpoints == []


def test_forwarded_context_is_replaced(kafka: Kafka, topic: Topic, way: str) -> None:
    name, producer = topic(), make(way, kafka, "Producer")
    producer.produce(name, b"v", headers=[(HEADER, b"stale"), ("x", b"y"), (HEADER, b"stale")])
    producer.produce(name, b"v", headers={HEADER: b"stale", "x": b"y"})
    producer.flush(30)
    for message in on_broker(kafka, name, 2):
        assert [key for key, _ in message.headers()] == ["x", HEADER]
        assert contexts(message)


@pytest.mark.parametrize("given", ["callback", "on_delivery", "positional", "both", "none"])
def test_delivery_callback_of_the_program_is_called_as_before(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured, given: str
) -> None:
    name, reports = topic(), list[tuple[str, Any, Any]]()

    def callback(by: str) -> Callable[[Any, Any], None]:
        return lambda error, message: reports.append((by, error, message.value()))

    producer = make(way, kafka, "Producer", on_delivery=callback("config"))
    options: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
        "callback": ((), {"callback": callback("callback")}, "callback"),
        "on_delivery": ((), {"on_delivery": callback("on_delivery")}, "on_delivery"),
        "positional": ((None, -1, callback("5th")), {}, "5th"),
        "both": ((), {"callback": callback("callback"), "on_delivery": callback("on_delivery")}, "callback"),
        "none": ((), {}, "config"),
    }
    args, kwargs, expected = options[given]
    producer.produce(name, b"v", *args, **kwargs)
    producer.flush(30)
    assert reports == [(expected, None, b"v")]
    produced = [value for tags, value in captured_streams.backlogs.items() if "type:kafka_produce" in tags]
    # Of an object that was made before, we cannot know whose callback is for all messages: that one goes first.
    assert produced == ([] if (way, given) == ("wrap(object)", "none") else [0])


def test_produced_offset_is_that_of_the_delivery_report(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, producer = topic(partitions=2), make(way, kafka, "Producer")
    for number in range(30):
        producer.produce(name, b"v", partition=number % 2)
        assert not captured_streams.backlogs
    producer.flush(30)
    cluster = cluster_of(producer)
    assert captured_streams.backlogs == {
        tags("kafka_produce", name, cluster, partition=partition): 14 for partition in (0, 1)
    }
    producer.produce(name, b"v", partition=0)
    producer.flush(30)
    assert captured_streams.produced(name)[-1].tag("kafka_cluster_id") == cluster
    assert captured_streams.backlogs[tags("kafka_produce", name, cluster)] == 15


def test_error_of_the_programs_callback_reaches_the_program(kafka: Kafka, topic: Topic, way: str) -> None:
    producer = make(way, kafka, "Producer")

    def callback(error: Any, message: Any) -> None:
        raise ZeroDivisionError

    producer.produce(topic(), b"v", on_delivery=callback)
    with pytest.raises(ZeroDivisionError):
        producer.flush(30)


def test_callback_that_produces_is_followed(kafka: Kafka, topic: Topic, way: str, captured_streams: Captured) -> None:
    name, next_ = topic(), topic()
    producer = make(way, kafka, "Producer")
    producer.produce(name, b"v", on_delivery=lambda error, message: producer.produce(next_, message.value()))
    while len(producer):
        producer.poll(0.1)
    assert (len(captured_streams.produced(name)), len(captured_streams.produced(next_))) == (1, 1)
    assert contexts(on_broker(kafka, next_, 1)[0])


def test_produced_message_has_the_current_pathway_as_parent(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, producer = topic(), make(way, kafka, "Producer")
    for parent in (5, 6):
        with current.restored(Pathway(parent, 1, 1)):
            producer.produce(name, b"v")
    with current.suppress_nested_checkpoints():
        producer.produce(name, b"v", headers=[("a", b"b")])
    producer.flush(30)
    assert [made.parent for made in captured_streams.produced(name)] == [5, 6]
    assert [len(contexts(message)) for message in on_broker(kafka, name, 3)] == [1, 1, 0]


def test_serializing_producer_is_followed(kafka: Kafka, topic: Topic, way: str, captured_streams: Captured) -> None:
    name = topic()
    options = {"key.serializer": StringSerializer(), "value.serializer": lambda value, _: str(value).encode()}
    producer = make(way, kafka, "SerializingProducer", **options)
    producer.produce(name, "key", 17, headers={"a": b"b"})
    producer.produce(topic=name, value=1234)
    producer.flush(30)
    assert isinstance(producer, confluent_kafka.SerializingProducer)
    assert isinstance(producer, confluent_kafka.Producer)
    messages = on_broker(kafka, name, 2)
    assert [(message.key(), message.value()) for message in messages] == [(b"key", b"17"), (None, b"1234")]
    context = len(HEADER) + 28
    assert [made.size for made in captured_streams.produced(name)] == [3 + 2 + 2 + context, 4 + context]


class Schemas:
    """A registry as far as AvroProducer asks one."""

    auto_register_schemas = True

    def register(self, subject: str, schema: Any) -> int:
        return 7


def test_avro_producer_is_followed(kafka: Kafka, topic: Topic, way: str, captured_streams: Captured) -> None:
    avro = pytest.importorskip("confluent_kafka.avro", reason="gone in this version, or its fastavro is missing")
    name, schema = topic(), avro.loads('{"type": "string"}')
    kind = asyncdsm.wrap(avro.AvroProducer) if way == "wrap(class)" else avro.AvroProducer
    with pytest.warns(DeprecationWarning, match="AvroProducer"):
        producer = kind({"bootstrap.servers": kafka.bootstrap}, None, schema, schema_registry=Schemas())
    if way == "wrap(object)":
        assert asyncdsm.wrap(producer) is producer
    producer.produce(topic=name, value="v", headers={"a": b"b"})
    producer.flush(30)
    (message,) = on_broker(kafka, name, 1)
    assert message.value() == b"\x00\x00\x00\x00\x07\x02v"
    assert [pathway.hash for pathway in contexts(message)] == [captured_streams.produced(name)[0].hash]


def test_produce_batch_without_headers_counts_its_messages(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    name, producer = topic(), make(way, kafka, "Producer")
    if not hasattr(producer, "produce_batch"):
        return  # came with 2.12
    log.forget_warnings()
    messages: list[dict[str, Any]] = [{"value": b"v"}, {"value": b"x" * 2_000_000}, {"value": b"w", "key": b"k"}]
    assert producer.produce_batch(name, messages) == 2
    producer.produce_batch(name, [{"value": b"v"}])
    producer.flush(30)
    assert [made.size for made in captured_streams.produced(name)] == [1, 2, 1]
    assert captured_streams.stats().not_propagated == 3
    assert sum("takes no headers" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("code", [-1, 43, 35])
def test_broker_that_rejects_headers_is_sent_none(
    mock_kafka: MockCluster, way: str, captured_streams: Captured, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    name, errors = mock_kafka.topic(), list[Any]()
    refused, other = (make(way, mock_kafka, "Producer") for _ in range(2))

    def send(producer: Any) -> None:
        producer.produce(name, b"v", on_delivery=lambda error, _: errors.append(error))
        assert producer.flush(30) == 0

    mock_kafka.push_errors(PRODUCE, code)
    for producer in (refused, refused, refused, other):
        send(producer)
    assert [error and error.code() for error in errors] == [code, None, None, None]
    assert [len(contexts(message)) for message in on_broker(mock_kafka, name, 3)] == [0, 0, 1]
    assert len(captured_streams.produced(name)) == 4
    assert captured_streams.stats().not_propagated == 2
    assert sum("adds no more headers" in record.getMessage() for record in caplog.records) == 1


def takes(producer: Any, topic: str, size: int) -> bool:
    try:
        producer.produce(topic, b"x" * size)
    except KafkaException as error:
        assert error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
        return False
    return True


def test_message_that_the_context_makes_too_large_is_sent_without_it(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, limit = topic(), {"message.max.bytes": 2000}
    bare, largest = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0, **limit}), 2000
    while not takes(bare, topic(), largest):
        largest -= 1
    producer = make(way, kafka, "Producer", **limit)
    assert takes(producer, name, largest)
    assert not takes(producer, name, largest + 1)
    producer.flush(30)
    assert [made.size for made in captured_streams.produced(name)] == [largest]
    assert captured_streams.stats().not_propagated == 1
    assert contexts(on_broker(kafka, name, 1)[0]) == []


def test_message_for_a_full_queue_is_not_counted(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name = topic()
    producer = make(way, kafka, "Producer", **{"queue.buffering.max.messages": 3, "linger.ms": 60_000})
    for _ in range(3):
        producer.produce(name, b"v")
    with pytest.raises(BufferError):
        producer.produce(name, b"v")
    assert len(captured_streams.produced(name)) == 3
    producer.flush(30)


def test_offsets_of_a_transaction_are_recorded_when_it_is_committed(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    name, source = topic(), topic()
    producer = make(way, kafka, "Producer", **{"transactional.id": f"t-{name}"})
    consumer = make(way, kafka, "Consumer", **{"group.id": "workers"})
    producer.init_transactions(30)
    for commits in (False, True):
        producer.begin_transaction()
        producer.produce(name, b"v")
        offsets = [confluent_kafka.TopicPartition(source, 0, 5 if commits else 9)]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        assert not [found for found in captured_streams.backlogs if "type:kafka_commit" in found]
        if commits:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    consumer.close()
    assert captured_streams.backlogs[tags("kafka_commit", source, cluster_of(producer), "workers")] == 5
