"""The user's program is never harmed: cancellation, rejected and broken headers, errors of asyncdsm."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from asyncdsm_aiokafka.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.formats.kafka_records import consume_record
from asyncdsm.testing import Captured, capture
from tests.brokers.kafka import Kafka
from tests.brokers.mock_cluster import PRODUCE, MockCluster
from tests.integrations.aiokafka.clients import Topic


async def fill(kafka: Kafka, topic: str, count: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as bare:
        for number in range(count):
            await bare.send(topic, str(number).encode())


async def read_with_cancellations(consumer: AIOKafkaConsumer, count: int, delays: list[float]) -> list[bytes | None]:
    """Read until `count` are there, cancelling the read in flight after each of `delays` in turn."""
    read: list[bytes | None] = []

    async def read_on() -> None:
        while len(read) < count:
            record = await consumer.getone()
            read.append(record.value)

    for delay in delays:
        task = asyncio.create_task(read_on())
        if delay:
            await asyncio.sleep(delay)
        else:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(20):
        await read_on()
    return read


async def test_cancelled_reads_lose_nothing(kafka: Kafka, topic: Topic, captured_streams: Captured) -> None:
    name, count = topic(), 400
    await fill(kafka, name, count)
    async with asyncdsm.wrap(
        AIOKafkaConsumer(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", max_poll_records=1)
    ) as consumer:
        delays = [index % 7 * 0.0002 for index in range(150)]
        read = await read_with_cancellations(consumer, count, delays)
    assert read == [str(number).encode() for number in range(count)]
    assert len(captured_streams.consumed(name)) == count


@pytest.mark.parametrize("many", [False, True])
async def test_read_cancelled_at_any_await_skips_nothing(
    kafka: Kafka, topic: Topic, captured_streams: Captured, many: bool
) -> None:
    """Cancel a read after n turns of the event loop, for every n that it can take: what is next is never skipped."""
    name, count = topic(), 60
    async with asyncdsm.wrap(
        AIOKafkaConsumer(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=5)
    ) as consumer:
        read: list[bytes | None] = []

        async def read_once() -> None:
            if many:
                for records in (await consumer.getmany(timeout_ms=50, max_records=3)).values():
                    read.extend(record.value for record in records)
            else:
                read.append((await consumer.getone()).value)

        await fill(kafka, name, count)
        turns = 0
        async with asyncio.timeout(30):
            while len(read) < count:
                task = asyncio.create_task(read_once())
                for _ in range(turns % 40):
                    await asyncio.sleep(0)
                turns += 1
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                if turns > 400:
                    await read_once()
    assert read == [str(number).encode() for number in range(count)]


@pytest.mark.parametrize("code", [-1, 43, 35])
async def test_broker_that_rejects_headers_is_sent_none(
    mock_kafka: MockCluster, captured_streams: Captured, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    name = mock_kafka.topic()
    refused = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=mock_kafka.bootstrap))
    other = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=mock_kafka.bootstrap))
    async with refused, other:
        mock_kafka.push_errors(PRODUCE, code)
        with pytest.raises(KafkaError):
            await refused.send_and_wait(name, b"v")
        await refused.send_and_wait(name, b"bare")
        await refused.send_and_wait(name, b"bare")
        await other.send_and_wait(name, b"v")
    async with AIOKafkaConsumer(name, bootstrap_servers=mock_kafka.bootstrap, auto_offset_reset="earliest") as bare:
        records = [await bare.getone() for _ in range(3)]
    assert [len(record.headers) for record in records] == [0, 0, 1]
    assert len(captured_streams.produced(name)) == 4
    assert captured_streams.stats().not_propagated == 2
    assert sum("adds no more headers" in record.getMessage() for record in caplog.records) == 1


HEADER_VALUES = st.one_of(
    st.none(),
    st.binary(max_size=400),
    st.builds(
        lambda text, at, byte: text[:at] + bytes([byte]) + text[at:],
        st.builds(lambda h, a, b: Pathway(h, a, b).encode_base64().encode(), *[st.integers(0, 1 << 60)] * 3),
        st.integers(0, 28),
        st.integers(0, 255),
    ),
)


@settings(max_examples=5000, suppress_health_check=[HealthCheck.too_slow])
@given(value=HEADER_VALUES, name=st.sampled_from([HEADER, "dd-pathway-ctx", "other"]))
def test_any_header_is_read_without_harm(value: bytes | None, name: str) -> None:
    from aiokafka import ConsumerRecord

    headers: Any = ((name, value),)
    record = ConsumerRecord("t", 0, 7, 1_700_000_000_000, 0, b"k", b"v", None, 1, 1, headers)
    same_headers: Any = ((name, value),)
    same = ConsumerRecord("t", 0, 7, 1_700_000_000_000, 0, b"k", b"v", None, 1, 1, same_headers)
    with capture() as captured:
        assert consume_record(Client(), record) is not None
        assert len(captured.consumed("t")) == 1
        assert record == same
        assert captured.consumed("t")[0].size == 2 + len(name) + len(value or b"")


async def test_error_of_asyncdsm_does_not_reach_the_program(
    kafka: Kafka, topic: Topic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = topic()
    with capture() as captured:
        captured.strict = False
        producer = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap))
        consumer = asyncdsm.wrap(
            AIOKafkaConsumer(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
        )
        async with producer, consumer:
            monkeypatch.setattr("asyncdsm.integration.formats.kafka_records.begin_with_headers", broken)
            monkeypatch.setattr("asyncdsm.integration.formats.kafka_records.consume", broken)
            await producer.send_and_wait(name, b"v", headers=[("a", b"b")])
            record = await consumer.getone()
            assert (record.value, record.headers) == (b"v", (("a", b"b"),))
            await producer.send_and_wait(name, b"w")
            ((_, records),) = (await consumer.getmany(timeout_ms=2000)).items()
            assert [record.value for record in records] == [b"w"]
        assert captured.stats().errors == 4


def broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")


async def test_wrapped_client_is_as_bare_while_nothing_measures(kafka: Kafka, topic: Topic) -> None:
    name = topic()
    async with (
        asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer,
        asyncdsm.wrap(
            AIOKafkaConsumer(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
        ) as consumer,
    ):
        await producer.send_and_wait(name, b"v", headers=[("a", b"b")])
        batch = producer.create_batch()
        batch.append(key=None, value=b"w", timestamp=None)
        await (await producer.send_batch(batch, name, partition=0))
        record = await consumer.getone()
        assert record.headers == (("a", b"b"),)
        assert vars(record).keys() == set(record.__dataclass_fields__)
        ((_, records),) = (await consumer.getmany(timeout_ms=2000)).items()
        assert type(records) is list
