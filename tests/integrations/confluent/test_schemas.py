"""Schemas of messages: real serializers of confluent-kafka, Kafka, and a schema registry on a socket of the test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import DeserializingConsumer, SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient, avro, json_schema, topic_subject_name_strategy
from confluent_kafka.serialization import MessageField, SerializationContext, StringSerializer

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.schema_registry import SchemaRegistry, running_registry
from tests.integrations.confluent.clients import consumer_config, from_start, read

FIRST = json.dumps({"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}]})
SECOND = json.dumps(
    {
        "type": "record",
        "name": "Order",
        "fields": [{"name": "id", "type": "int"}, {"name": "note", "type": "string", "default": ""}],
    }
)
JSON_SCHEMA = json.dumps({"title": "Order", "type": "object", "properties": {"id": {"type": "integer"}}})
# Their parameters are hidden from type checkers: each `__init__` is an alias of a private function.
AvroSerializer: Any = avro.AvroSerializer
AvroDeserializer: Any = avro.AvroDeserializer
JSONSerializer: Any = json_schema.JSONSerializer
JSONDeserializer: Any = json_schema.JSONDeserializer
Schemas = dict[str, list[tuple[int, str]]]


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    with running_registry(first_id=70_000) as registry:
        yield registry


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Leave no hook on the serializers to other tests."""
    yield
    asyncdsm.uninstrument("confluent_kafka")


def schemas_of(captured: Captured) -> Schemas:
    """Return the schemas by the direction of their edge."""
    return {
        edge.tags[0]: list(facts.schemas)
        for batch in captured.facts.take(None)
        for edge, facts in batch.edges.items()
        if facts.schemas
    }


def client_of(registry: SchemaRegistry) -> Any:
    return SchemaRegistryClient({"url": registry.url})


def test_serializing_producer_and_deserializing_consumer_note_the_schema(
    kafka: Kafka, topic: Callable[..., str], registry: SchemaRegistry, captured_streams: Captured
) -> None:
    name, client = topic(), client_of(registry)
    producer = asyncdsm.wrap(SerializingProducer)(
        {
            "bootstrap.servers": kafka.bootstrap,
            "log_level": 0,
            "key.serializer": StringSerializer(),
            "value.serializer": AvroSerializer(client, FIRST),
        }
    )
    producer.produce(name, key="4711", value={"id": 1})
    producer.flush()
    deserializer = AvroDeserializer(client, conf={"subject.name.strategy": topic_subject_name_strategy})
    consumer = asyncdsm.wrap(DeserializingConsumer)({**consumer_config(kafka), "value.deserializer": deserializer})
    (message,) = read(from_start(consumer, name), 1)
    consumer.close()
    assert message.value() == {"id": 1}
    subject = f"{name}-value"
    assert registry.subjects == {subject: [70_000]}
    assert schemas_of(captured_streams) == {
        "direction:out": [(70_000, subject)],
        "direction:in": [(70_000, subject)],
    }


def test_message_that_the_program_serializes_itself_has_its_schema(
    kafka: Kafka, topic: Callable[..., str], registry: SchemaRegistry, captured_streams: Captured
) -> None:
    name, client = topic(), client_of(registry)
    producer = asyncdsm.wrap(confluent_kafka.Producer)({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    context = SerializationContext(name, MessageField.VALUE)
    for schema in (FIRST, FIRST, SECOND):
        producer.produce(name, AvroSerializer(client, schema)({"id": 1, "note": ""}, context))
    producer.flush()
    consumer = asyncdsm.wrap(confluent_kafka.Consumer)(consumer_config(kafka))
    for message in read(from_start(consumer, name), 3):
        AvroDeserializer(client)(message.value(), context)
    consumer.close()
    subject = f"{name}-value"
    assert schemas_of(captured_streams) == {
        "direction:out": [(70_000, subject), (70_001, subject)],
        "direction:in": [(70_000, subject), (70_001, subject)],
    }


def test_json_serializer_notes_the_schema(
    kafka: Kafka, topic: Callable[..., str], registry: SchemaRegistry, captured_streams: Captured
) -> None:
    name, client = topic(), client_of(registry)
    producer = asyncdsm.wrap(confluent_kafka.Producer)({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    context = SerializationContext(name, MessageField.VALUE)
    value = JSONSerializer(JSON_SCHEMA, client)({"id": 1}, context)
    producer.produce(name, value)
    producer.flush()
    assert JSONDeserializer(JSON_SCHEMA)(value, context) == {"id": 1}  # nobody has consumed from the topic
    assert schemas_of(captured_streams) == {"direction:out": [(70_000, f"{name}-value")]}


def test_bytes_that_only_look_like_a_schema_are_not_read(
    kafka: Kafka, topic: Callable[..., str], registry: SchemaRegistry, captured_streams: Captured
) -> None:
    name, other, client = topic(), topic(), client_of(registry)
    producer = asyncdsm.wrap(confluent_kafka.Producer)({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    context = SerializationContext(name, MessageField.VALUE)
    serialized: Any = AvroSerializer(client, FIRST)({"id": 1}, context)
    producer.produce(other, serialized)  # not made for this topic
    producer.produce(name, b"\0\0\0\0\5order")  # an id that no serializer wrote
    for value in (None, b"", b"\0\0", b"order", serialized[:5], "order"):
        producer.produce(name, value)
    producer.flush()
    assert schemas_of(captured_streams) == {}


def test_key_has_no_schema_of_its_own(
    kafka: Kafka, topic: Callable[..., str], registry: SchemaRegistry, captured_streams: Captured
) -> None:
    name = topic()
    producer = asyncdsm.wrap(confluent_kafka.Producer)({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    key = AvroSerializer(client_of(registry), FIRST)({"id": 1}, SerializationContext(name, MessageField.KEY))
    producer.produce(name, key, key)
    producer.flush()
    assert registry.subjects == {f"{name}-key": [70_000]}
    assert schemas_of(captured_streams) == {}


def test_hooks_are_off_after_uninstrument() -> None:
    asyncdsm.instrument("confluent_kafka")
    hooked = vars(AvroSerializer)["__call__"]
    asyncdsm.uninstrument("confluent_kafka")
    assert vars(AvroSerializer)["__call__"] is not hooked


@pytest.mark.parametrize("error", [ValueError("no"), TypeError("no")], ids=repr)
def test_error_of_a_serializer_is_the_programs(registry: SchemaRegistry, error: Exception) -> None:
    asyncdsm.instrument("confluent_kafka")

    def fail(_object: object, _context: object) -> dict[str, Any]:
        raise error

    serializer = AvroSerializer(client_of(registry), FIRST, fail)
    with pytest.raises(type(error)) as raised:
        serializer({"id": 1}, SerializationContext("orders", MessageField.VALUE))
    assert raised.value is error


def test_registry_is_not_imported_for_the_program() -> None:
    code = (
        "import sys, asyncdsm; asyncdsm.instrument('confluent_kafka'); import confluent_kafka; "
        "asyncdsm.wrap(confluent_kafka.Producer({'bootstrap.servers': 'localhost:1'})); "
        "sys.exit(any('schema_registry' in name for name in sys.modules if name.startswith('confluent_kafka')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
