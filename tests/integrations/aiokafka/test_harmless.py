"""The user's program is never harmed: cancellation, refusals, broken headers, errors of ours, and taking it all off."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import asyncdsm_aiokafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import MessageAccumulator
from asyncdsm_aiokafka.client import Client
from asyncdsm_aiokafka.consume import consumed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asyncdsm
from asyncdsm import UnknownClientError
from asyncdsm.core import checkpoint
from asyncdsm.core.pathway import HEADER, Pathway
from asyncdsm.integration.hooks import is_hook
from asyncdsm.testing import Captured, capture
from tests.brokers.kafka import Kafka
from tests.brokers.mock_cluster import PRODUCE, MockCluster

Topic = Callable[..., str]
HOOKED = (AIOKafkaProducer, AIOKafkaConsumer, MessageAccumulator, ClusterMetadata, GroupCoordinator)


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
async def test_cancelled_at_every_await(kafka: Kafka, topic: Topic, captured_streams: Captured, many: bool) -> None:
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
async def test_a_broker_that_refuses_headers(
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
    assert sum("refused a batch" in record.getMessage() for record in caplog.records) == 1


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
        assert consumed(Client(), record) is not None
        assert len(captured.consumed("t")) == 1
        assert record == same
        assert captured.consumed("t")[0].size == 2 + len(name) + len(value or b"")


async def test_an_error_of_ours_stays_ours(
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
            monkeypatch.setattr(checkpoint, "departing", broken)
            monkeypatch.setattr(checkpoint, "arrived", broken)
            await producer.send_and_wait(name, b"v", headers=[("a", b"b")])
            record = await consumer.getone()
            assert (record.value, record.headers) == (b"v", (("a", b"b"),))
            await producer.send_and_wait(name, b"w")
            ((_, records),) = (await consumer.getmany(timeout_ms=2000)).items()
            assert [record.value for record in records] == [b"w"]
        assert captured.stats().errors == 4


def broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")


async def test_with_nothing_running_wrapped_is_as_bare(kafka: Kafka, topic: Topic) -> None:
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


def methods() -> list[dict[str, Any]]:
    return [{name: value for name, value in vars(kind).items() if callable(value)} for kind in HOOKED]


async def test_instrument_follows_every_client_and_uninstrument_restores(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    before = methods()
    name = topic()
    early = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    async with early:
        asyncdsm.instrument("aiokafka")
        asyncdsm.instrument("aiokafka")
        try:
            wrapped_too = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap))
            late = AIOKafkaConsumer(
                name,
                bootstrap_servers=kafka.bootstrap,
                group_id="late",
                auto_offset_reset="earliest",
                **kafka.group,
            )
            async with wrapped_too, late:
                await early.send_and_wait(name, b"v")
                await wrapped_too.send_and_wait(name, b"v")
                for _ in range(2):
                    await late.getone()
                await late.commit()
        finally:
            asyncdsm.uninstrument("aiokafka")
    assert len(captured_streams.produced(name)) == 2
    assert [made.tag("group") for made in captured_streams.consumed(name)] == ["late"] * 2
    assert [value for tags, value in captured_streams.backlogs.items() if "consumer_group:late" in tags] == [2]
    assert methods() == before


async def test_wrapping_twice_and_subclasses_count_once(kafka: Kafka, topic: Topic, captured_streams: Captured) -> None:
    class Own(AIOKafkaConsumer):  # type: ignore[misc]
        async def getone(self, *partitions: Any) -> Any:
            return await super().getone(*partitions)

    name = topic()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    assert asyncdsm.wrap(asyncdsm.wrap(producer)) is producer
    asyncdsm.instrument("aiokafka")
    try:
        async with (
            producer,
            asyncdsm.wrap(Own(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")) as consumer,
        ):
            await producer.send_and_wait(name, b"v")
            await consumer.getone()
    finally:
        asyncdsm.uninstrument()
    assert (len(captured_streams.produced(name)), len(captured_streams.consumed(name))) == (1, 1)


async def test_hooks_look_like_what_they_stand_for(kafka: Kafka) -> None:
    bare = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap)
    consumer = asyncdsm.wrap(AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap))
    for name in ("getone", "getmany"):
        hook = getattr(consumer, name)
        assert is_hook(hook)
        assert asyncio.iscoroutinefunction(hook)
        assert inspect.signature(hook) == inspect.signature(getattr(bare, name))
    await consumer.stop()
    await bare.stop()


def test_what_is_not_known_is_a_clear_error(captured_streams: Captured) -> None:
    with pytest.raises(UnknownClientError, match=r"builtins\.int; known: .*aiokafka"):
        asyncdsm.wrap(3)
    with pytest.raises(UnknownClientError, match=r"not a consumed message: builtins\.int"), asyncdsm.using(3):
        pass
    with pytest.raises(UnknownClientError, match="no integration named 'pulsar'"):
        asyncdsm.instrument("pulsar")
    assert asyncdsm_aiokafka.wrap(3) is None
