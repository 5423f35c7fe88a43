"""Malformed values, which some Kafka clients do return, are counted, never raised, and cost no other message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import aiokafka
import asyncdsm_aiokafka.client
import asyncdsm_aiokafka.offsets
import asyncdsm_confluent.client
import asyncdsm_confluent.offsets
import confluent_kafka
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.structs import RecordMetadata
from asyncdsm_aiokafka.consume import consume_batches
from asyncdsm_confluent import delivery_reports
from asyncdsm_confluent.consume import consume_message
from asyncdsm_faststream.consume import consume_client_message, pathway_of_message

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core import current
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.core.pathway import Pathway
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.integration import pathway_cache
from asyncdsm.integration.formats import kafka
from asyncdsm.integration.formats.kafka_records import consume_record, read_commits
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import bare_class

Topic = Callable[..., str]


class Unknown:
    """A type that no hook knows."""

    def __repr__(self) -> str:
        return "Unknown()"  # without an address: processes that run tests side by side must give them equal names


ODD: list[Any] = [
    None, True, -1, -1001, 1.5, float("nan"), float("inf"), 1 << 63, 1 << 70, "text", "é", b"bytes", b"\xff" * 28,
    [], [5], [("a",)], [("a", 5)], [(5, b"a")], [(HEADER, 5)], [(HEADER, [1] * 28)], [(LEGACY_HEADER, 5)], {},
    Unknown(),
]  # fmt: skip
FIELDS = [field.name for field in fields(ConsumerRecord)]
METHODS = ["topic", "partition", "offset", "timestamp", "headers", "key", "value", "error", "__len__"]
NOT_KNOWN: list[Any] = [None, -1, -2, -1000, -1001]
MALFORMED: list[Any] = [True, 1.5, float("nan"), 1 << 63, 1 << 70, "5", b"5", [5], Unknown()]
HEADERS = ((HEADER, Pathway(5, 1, 1).encode_base64().encode()),)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    current.set_current(None)
    pathway_cache._waiting.clear()  # all messages of these tests have one place
    monkeypatch.setattr(pathway_cache, "_newer", {})
    monkeypatch.setattr(pathway_cache, "_older", {})


def record(**odd: Any) -> Any:
    plain = ConsumerRecord("t", 0, 7, 1_700_000_000_000, 0, b"k", b"v", None, 1, 1, HEADERS)
    return replace(plain, **odd)


class Message(confluent_kafka.Message):
    """A message whose methods return the given values."""

    def __init__(self, **odd: Any) -> None:
        super().__init__(topic="t", partition=0, offset=7, key=b"k", value=b"v")
        self._odd = odd

    def error(self) -> Any:
        return self._odd.get("error")

    def topic(self) -> Any:
        return self._odd.get("topic", "t")

    def partition(self) -> Any:
        return self._odd.get("partition", 0)

    def offset(self) -> Any:
        return self._odd.get("offset", 7)

    def timestamp(self) -> Any:
        return self._odd.get("timestamp", (1, 1_700_000_000_000))

    def headers(self) -> Any:
        return self._odd.get("headers", list(HEADERS))

    def key(self, *_: Any) -> Any:
        return self._odd.get("key", b"k")

    def value(self, *_: Any) -> Any:
        return self._odd.get("value", b"v")

    def __len__(self) -> int:
        length: int = self._odd.get("__len__", 1)
        return length


@pytest.mark.parametrize("field", FIELDS)
def test_record_with_a_field_of_any_type_is_received(field: str, captured_streams: Captured) -> None:
    client = asyncdsm_aiokafka.client.Client()
    for value in ODD:
        captured_streams.clear()
        odd = record(**{field: value})
        pathway = consume_record(client, odd)
        assert len(captured_streams.checkpoints) == (field != "topic" or isinstance(value, str))
        assert getattr(odd, field) is value
        with asyncdsm.using(odd) as used:
            assert used == pathway
        current.set_current(None)
    assert captured_streams.stats().errors == 0


def test_malformed_record_leaves_the_rest_of_its_batch_followed(captured_streams: Captured) -> None:
    records = [record(), record(topic=None), record(headers=5), "no record", record()]
    batches = consume_batches(asyncdsm_aiokafka.client.Client(), {TopicPartition("t", 0): records}, None)
    assert list(batches[TopicPartition("t", 0)]) == records
    assert [made.parent for made in captured_streams.consumed("t")] == [5, 0, 5]
    assert captured_streams.stats().malformed == 3


@pytest.mark.parametrize("method", METHODS)
def test_message_with_a_value_of_any_type_is_received(method: str, captured_streams: Captured) -> None:
    client = asyncdsm_confluent.client.Client()
    for value in [*ODD, (1, None), (1, "x"), (1, 1.5), (1, True), (1, -1), (1,), (1, 1 << 70)]:
        captured_streams.clear()
        odd = Message(**{method: value})
        pathway = consume_message(client, odd)
        is_message = (method != "error" or value is None) and (method != "topic" or isinstance(value, str))
        assert len(captured_streams.checkpoints) == is_message
        if method != "error":
            with asyncdsm.using(odd) as used:
                assert used == pathway
        current.set_current(None)
    assert captured_streams.stats().errors == 0


def test_malformed_time_is_counted_as_malformed(captured_streams: Captured) -> None:
    for value in (True, 1.5, "1700000000000", b"1", [1]):
        consume_record(asyncdsm_aiokafka.client.Client(), record(headers=(), timestamp=value))
        consume_message(asyncdsm_confluent.client.Client(), Message(headers=None, timestamp=(1, value)))
    assert captured_streams.stats().malformed == 10
    assert all(made.edge_latency == 0 for made in captured_streams.checkpoints)


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_faststream_message_with_a_value_of_any_type_is_received(odd: Any, captured_streams: Captured) -> None:
    messages = [record(**{field: odd}) for field in FIELDS if field != "topic"]
    messages += [Message(**{method: odd}) for method in METHODS if method != "topic"]
    for message in messages:
        assert consume_client_message(message, None, None) is not None
        assert pathway_of_message(message) is not None
    assert len(captured_streams.checkpoints) == len(messages)


@pytest.mark.parametrize("offset", NOT_KNOWN, ids=repr)
def test_unknown_offset_is_ignored(offset: Any, captured_streams: Captured) -> None:
    record_everywhere(offset)
    assert captured_streams.backlogs == {}
    assert (captured_streams.stats().malformed, captured_streams.stats().errors) == (0, 0)


@pytest.mark.parametrize("offset", MALFORMED, ids=repr)
def test_offset_of_another_type_is_counted_as_malformed(offset: Any, captured_streams: Captured) -> None:
    record_everywhere(offset)
    assert captured_streams.backlogs == {}
    assert captured_streams.stats().malformed == 5
    assert captured_streams.stats().errors == 0


@pytest.mark.parametrize("name", [None, 5, b"t", [], Unknown()], ids=repr)
def test_topic_or_group_that_is_not_a_string_is_counted_as_malformed(name: Any, captured_streams: Captured) -> None:
    kafka.record_produced(name, 0, 5, None)
    kafka.record_committed("g", name, 0, 5, None)
    kafka.record_committed(name, "t", 0, 5, None)
    kafka.record_produced("t", "0", 5, None)
    kafka.record_produced("t", -1, 5, None)
    assert captured_streams.backlogs == {}
    assert (captured_streams.stats().malformed, captured_streams.stats().errors) == (5, 0)


def record_everywhere(offset: Any) -> None:
    """Pass an offset to every function that gets one from a client."""
    cluster = SimpleNamespace()
    of_aiokafka = asyncdsm_aiokafka.client.client_of(cluster)
    metadata = RecordMetadata("t", 0, TopicPartition("t", 0), offset, 0, 0, 0)
    batch = SimpleNamespace(record_count=3)
    future = SimpleNamespace(cancelled=bool, exception=lambda: None, result=lambda: metadata)
    asyncdsm_aiokafka.offsets.record_answer(of_aiokafka, batch, future)
    committed = {TopicPartition("t", 0): aiokafka.structs.OffsetAndMetadata(offset, "")}
    of_aiokafka.record_commits("g", read_commits(committed))

    client = asyncdsm_confluent.client.Client()
    client.group = "g"
    delivery_reports.take_report(client, None, None, Message(offset=offset))
    delivery_reports.record_reports(client, SimpleNamespace(cluster_id=lambda _: None))
    partition = SimpleNamespace(topic="t", partition=0, offset=offset, error=None)
    asyncdsm_confluent.offsets.wrap_on_commit(client, None)(None, [partition])
    client.record_commits("g", asyncdsm_confluent.offsets.read_commits([partition]))


@pytest.mark.parametrize("name", [5, b"c", "", True, [], Unknown()], ids=repr)
def test_cluster_id_that_is_not_a_string_is_ignored(name: Any) -> None:
    cluster = SimpleNamespace()
    of_aiokafka, of_confluent = asyncdsm_aiokafka.client.client_of(cluster), asyncdsm_confluent.client.Client()
    of_aiokafka.learn_cluster_id(name)
    of_confluent.ask_cluster_id(SimpleNamespace(cluster_id=lambda _: name), has_answered=True)
    assert (of_aiokafka.cluster_id, of_confluent.cluster_id) == (None, None)
    assert (
        of_aiokafka.out_edges["t"].tags
        == of_confluent.out_edges["t"].tags
        == ("direction:out", "topic:t", "type:kafka")
    )


async def test_aioproducer_without_acknowledgements_is_delivered(kafka: Kafka, topic: Topic) -> None:
    aio = pytest.importorskip("confluent_kafka.aio", reason="came with 2.13")
    exporter, name = MemoryExporter(), topic()
    async with DataStreams(Settings(service="s"), exporter=exporter) as streams:
        producer = asyncdsm.wrap(aio.AIOProducer({"bootstrap.servers": kafka.bootstrap, "acks": 0}, batch_size=1))
        message = await (await producer.produce(name, b"v"))
        assert message.offset() is None
        await asyncio.sleep(0)
        await producer.close()
        await streams.flush()
        assert len(exporter.bodies) == 1
    assert (streams.stats.recorded, streams.stats.delivered, streams.stats.errors) == (1, 1, 0)


PRODUCE_CALLS: list[Callable[[Any], Any]] = [
    lambda producer: producer.produce(b"t", b"v"),
    lambda producer: producer.produce(None, b"v"),
    lambda producer: producer.produce([], b"v"),
    lambda producer: producer.produce("t", 5),
    lambda producer: producer.produce("t", b"v", key=5),
    lambda producer: producer.produce("t", b"v", headers="x"),
    lambda producer: producer.produce("t", b"v", headers=()),
    lambda producer: producer.produce("t", b"v", headers=[("a",)]),
    lambda producer: producer.produce("t", b"v", headers=[("a", 5)]),
    lambda producer: producer.produce("t", b"v", partition=None),
    lambda producer: producer.produce("t", b"v", timestamp="now"),
    lambda producer: producer.produce("t", b"v", -1, -1),
]


@pytest.mark.parametrize("call", PRODUCE_CALLS)
def test_message_that_c_rejects_raises_what_the_bare_client_raises(
    call: Callable[[Any], Any], captured_streams: Captured
) -> None:
    errors = list[str]()
    own = bare_class("Producer")
    for kind in (own, asyncdsm.wrap(own)):
        with pytest.raises(TypeError) as raised:
            call(kind({"bootstrap.servers": "127.0.0.1:9", "log_level": 0}))
        errors.append(str(raised.value))
    assert errors[0] == errors[1]
    assert captured_streams.checkpoints == []
    assert (captured_streams.stats().errors, captured_streams.stats().malformed) == (0, 0)


@pytest.mark.parametrize("headers", [5, "x", [5], [("a",)], [("a", 5)], [(None, b"v")], [("a", "text")]], ids=repr)
async def test_record_that_aiokafka_rejects_raises_what_the_bare_client_raises(
    kafka: Kafka, topic: Topic, captured_streams: Captured, headers: Any
) -> None:
    errors, name = list[str](), topic()
    for is_wrapped in (False, True):
        bare: Any = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        async with asyncdsm.wrap(bare) if is_wrapped else bare as producer:
            with pytest.raises(Exception) as raised:  # noqa: PT011  (whatever the client raises)
                await producer.send_and_wait(name, b"v", headers=headers)
            errors.append(repr(raised.value))
    assert errors[0] == errors[1]
    assert captured_streams.checkpoints == []
    assert captured_streams.stats().errors == 0
