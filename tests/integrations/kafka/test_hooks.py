"""Every hook on Kafka's clients passes on arguments that it does not know, and counts nothing once it was removed."""

from __future__ import annotations

import asyncio
import functools
import gc
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from asyncdsm_faststream import DataStreamsMiddleware
from faststream import BaseMiddleware
from faststream._internal.broker import BrokerUsecase
from faststream.kafka import KafkaBroker

import asyncdsm
from asyncdsm.core import checkpoint
from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import consumer_config, from_start, read
from tests.integrations.kafka.hook_tables import OF_AIOKAFKA, OF_CONFLUENT, Put, is_async, keywords_of, positions_of

Topic = Callable[..., str]

WRONG_ARGUMENTS = re.compile("positional argument|keyword argument|required argument|multiple values")


@pytest.fixture
def errors(captured_streams: Captured, monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """The errors of asyncdsm that were kept from the program."""
    kept = list[Exception]()
    monkeypatch.setattr(captured_streams, "report_error", lambda error, *_: kept.append(error))
    return kept


class Fake:
    """Replaces the client's own method, and keeps the arguments of the last call."""

    def __init__(self) -> None:
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}

    def call(self, *args: Any, **kwargs: Any) -> Any:
        self.args, self.kwargs = args, kwargs
        return MagicMock()

    async def call_async(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(*args, **kwargs)


def test_tables_have_the_hooks_of_both_clients() -> None:
    assert {put.name for put in OF_AIOKAFKA} > {"add_message", "append", "getone", "getmany", "send_batch", "start"}
    assert {put.name for put in OF_CONFLUENT} > {"__init__", "produce", "poll", "consume", "commit", "pause", "close"}


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("put", [*OF_AIOKAFKA, *OF_CONFLUENT], ids=repr)
async def test_argument_of_a_later_release_reaches_the_client(
    put: Put, is_running: bool, errors: list[Exception]
) -> None:
    fake = Fake()
    hooked = put.hook(fake.call_async if is_async(put) else fake.call)
    args: list[Any] = [MagicMock() for _ in range(positions_of(put))]
    if put.name == "__init__":
        args = [{"group.id": "g"}]
    if not is_running:
        checkpoint.set_recorder(None)
    result = hooked(MagicMock(_closed=False), *args, "one more", later="another", **dict.fromkeys(keywords_of(put)))
    if is_async(put):
        await result
    assert fake.args[-1] == "one more"
    assert fake.kwargs["later"] == "another"
    assert [error for error in errors if WRONG_ARGUMENTS.search(str(error))] == []


OVERRIDDEN = [
    name for name in vars(DataStreamsMiddleware) if name in vars(BaseMiddleware) and not name.startswith("__")
]


@pytest.mark.parametrize("name", OVERRIDDEN)
async def test_argument_of_a_later_faststream_reaches_the_next_middleware(name: str, errors: list[Exception]) -> None:
    fake, middleware = Fake(), DataStreamsMiddleware(MagicMock(), context=MagicMock())
    args: dict[str, list[Any]] = {
        "on_receive": [],
        "consume_scope": [fake.call_async, MagicMock()],
        "after_processed": [None, None, None],
        "publish_scope": [fake.call_async, MagicMock()],
    }
    await getattr(middleware, name)(*args[name], "one more", later="another")
    if fake.call_async in args[name]:
        assert fake.args[-1] == "one more"
        assert fake.kwargs == {"later": "another"}
    assert [error for error in errors if WRONG_ARGUMENTS.search(str(error))] == []


def wrap_foreign(kind: Any, name: str) -> None:
    """Put another library's wrapper around what is there."""
    current = getattr(kind, name)

    @functools.wraps(current)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return current(*args, **kwargs)

    setattr(kind, name, wrapper)


@contextmanager
def put_back(methods: Iterable[tuple[Any, str]]) -> Iterator[None]:
    """Leave these methods of classes as they were before."""
    own = {(kind, name): vars(kind)[name] for kind, name in methods}
    yield
    for (kind, name), method in own.items():
        setattr(kind, name, method)


@pytest.fixture
def restored() -> Iterator[list[tuple[Any, str]]]:
    """The methods of aiokafka that are hooked. They are put back after the test."""
    methods = list({(put.kind, put.name) for put in OF_AIOKAFKA})
    with put_back(methods):
        yield methods


ON_CLASSES = sorted({(put.kind.__name__, put.name) for put in OF_AIOKAFKA if put.name != "append"})


def counted(captured: Captured) -> tuple[Any, ...]:
    return captured.checkpoints, captured.backlogs, [lag for lag in current_lags() if lag.unit == "messages"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", [*ON_CLASSES, ("every", "method")], ids=".".join)
async def test_aiokafka_hook_within_a_foreign_wrapper_counts_nothing_once_removed(  # noqa: PLR0917
    kafka: Kafka,
    topic: Topic,
    captured_streams: Captured,
    restored: list[tuple[Any, str]],
    method: tuple[str, str],
    when: str,
) -> None:
    name, other = topic(), topic()
    gc.collect()  # consumers of other tests have a lag
    asyncdsm.instrument("aiokafka")
    for kind, hooked in restored:
        if method in {(kind.__name__, hooked), ("every", "method")} and hooked != "append":
            wrap_foreign(kind, hooked)
    if when == "after":
        asyncdsm.uninstrument("aiokafka")
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"t-{name}")
    consumer = AIOKafkaConsumer(name, bootstrap_servers=kafka.bootstrap, group_id=name, auto_offset_reset="earliest")
    async with producer, consumer:
        if when == "before":
            asyncdsm.uninstrument("aiokafka")
        await producer.begin_transaction()
        await producer.send_and_wait(name, b"v")
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=b"w")
        batch.append(timestamp=None, key=None, value=b"x")
        await (await producer.send_batch(batch, name, partition=0))
        await producer.send_offsets_to_transaction({TopicPartition(other, 0): 1}, "g")
        await producer.commit_transaction()
        await producer.begin_transaction()
        await producer.abort_transaction()
        records = [await consumer.getone()]
        while len(records) < 3:
            for found in (await consumer.getmany(timeout_ms=1000, max_records=1)).values():
                records += found
        await consumer.commit()
        assert [(record.value, record.headers) for record in records] == [(b"v", ()), (b"w", ()), (b"x", ())]
        assert counted(captured_streams) == ([], {}, [])


async def test_wrapped_aiokafka_client_stays_followed_after_uninstrument(
    kafka: Kafka, topic: Topic, captured_streams: Captured, restored: list[tuple[Any, str]]
) -> None:
    name = topic()
    asyncdsm.instrument("aiokafka")
    producer = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap))
    consumer = asyncdsm.wrap(
        AIOKafkaConsumer(name, bootstrap_servers=kafka.bootstrap, group_id=name, auto_offset_reset="earliest")
    )
    async with producer, consumer:
        for kind, hooked in restored:
            if hooked != "append":
                wrap_foreign(kind, hooked)
        asyncdsm.uninstrument("aiokafka")
        await producer.send_and_wait(name, b"v")
        await consumer.getone()
        await consumer.commit()
        assert [len(captured_streams.produced(name)), len(captured_streams.consumed(name))] == [1, 1]
        assert sorted(captured_streams.backlogs.values()) == [0, 1]
        assert [lag.behind for lag in current_lags() if lag.topic == name] == [0]


CONFLUENT_METHODS = sorted({(put.kind.__name__, put.name) for put in OF_CONFLUENT if "AIO" not in put.kind.__name__})


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", [*CONFLUENT_METHODS, ("every", "method")], ids=".".join)
def test_confluent_hook_within_a_foreign_wrapper_counts_nothing_once_removed(
    kafka: Kafka, topic: Topic, captured_streams: Captured, method: tuple[str, str], when: str
) -> None:
    name, group = topic(), topic(prefix="group")
    asyncdsm.instrument("confluent_kafka")
    kinds = [confluent_kafka.Producer, confluent_kafka.Consumer]
    for kind, hooked in CONFLUENT_METHODS:
        if kind in {"Producer", "Consumer"} and method in {(kind, hooked), ("every", "method")}:
            wrap_foreign(getattr(confluent_kafka, kind), hooked)
    if when == "after":
        asyncdsm.uninstrument("confluent_kafka")
        kinds = [confluent_kafka.Producer, confluent_kafka.Consumer]
    producer = kinds[0]({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"t-{name}", "log_level": 0})
    consumer: Any = kinds[1](consumer_config(kafka, group, **{"enable.auto.commit": True}))
    if when == "before":
        asyncdsm.uninstrument("confluent_kafka")
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(name, b"v", partition=0)
    producer.produce(name, b"w", partition=0)
    producer.poll(0)
    producer.flush(30)
    producer.commit_transaction()
    first = read(from_start(consumer, name), 1)
    messages = [*first, *consumer.consume(1, 30)]
    consumer.pause([confluent_kafka.TopicPartition(name, 0)])
    consumer.resume([confluent_kafka.TopicPartition(name, 0)])
    consumer.commit(asynchronous=False)
    consumer.close()  # commits too, which tells `on_commit`
    assert [(message.value(), message.headers()) for message in messages] == [(b"v", None), (b"w", None)]
    found = counted(captured_streams)
    assert (found[0], found[1], [lag for lag in found[2] if lag.topic == name]) == ([], {}, [])


@pytest.fixture
def restored_connect() -> Iterator[None]:
    """Put back FastStream's `connect`, and nothing of aiokafka: FastStream's integration keeps its hook there."""
    with put_back([(BrokerUsecase, "connect")]):
        yield


@pytest.mark.parametrize("when", ["before", "after"])
async def test_faststream_hook_within_a_foreign_wrapper_counts_nothing_once_removed(
    kafka: Kafka, topic: Topic, captured_streams: Captured, restored_connect: None, when: str
) -> None:
    name, came = topic(), asyncio.Event()
    asyncdsm.instrument("faststream")
    wrap_foreign(BrokerUsecase, "connect")
    if when == "after":
        asyncdsm.uninstrument("faststream")
    broker: Any = KafkaBroker(kafka.bootstrap, logger=None)

    @broker.subscriber(name, auto_offset_reset="earliest")  # type: ignore[untyped-decorator]
    async def handle(number: int) -> None:
        came.set()

    async with broker:
        await broker.start()
        if when == "before":
            asyncdsm.uninstrument("faststream")
        await broker.publish(1, name)
        async with asyncio.timeout(30):
            await came.wait()
    assert captured_streams.checkpoints == []


class OneByOne(AIOKafkaConsumer):  # type: ignore[misc]
    """Reads one record at a time with a time-out of its own."""

    async def getone(self, *partitions: Any) -> Any:
        while True:
            for records in (await self.getmany(*partitions, timeout_ms=500, max_records=1)).values():
                return records[0]


class Ahead(AIOKafkaConsumer):  # type: ignore[misc]
    """Reads several records at once and hands them out one by one."""

    async def getone(self, *partitions: Any) -> Any:
        kept = self.__dict__.setdefault("kept", list[Any]())
        while not kept:
            for records in (await self.getmany(*partitions, timeout_ms=500)).values():
                kept += records
        return kept.pop(0)


class Many(AIOKafkaConsumer):  # type: ignore[misc]
    """Makes its batches of single records."""

    async def getmany(self, *partitions: Any, **_: Any) -> Any:
        record = await self.getone(*partitions)
        return {TopicPartition(record.topic, record.partition): [record]}

    async def read(self) -> Any:
        ((record,),) = (await self.getmany()).values()
        return record


class Upwards(AIOKafkaConsumer):  # type: ignore[misc]
    """Calls aiokafka's own method, which `instrument` hooks as well."""

    async def getone(self, *partitions: Any) -> Any:
        return await super().getone(*partitions)


@pytest.mark.parametrize("kind", [OneByOne, Ahead, Many, Upwards])
@pytest.mark.parametrize("how", ["wrap", "instrument", "both"])
async def test_record_counts_once_where_a_subclass_overrides_receiving(
    kafka: Kafka, topic: Topic, captured_streams: Captured, kind: type[AIOKafkaConsumer], how: str
) -> None:
    name, hashes = topic(), list[int]()
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for _ in range(3):
            await producer.send_and_wait(name, b"v")
    if how != "wrap":
        asyncdsm.instrument("aiokafka")
    try:
        consumer: Any = kind(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
        async with consumer if how == "instrument" else asyncdsm.wrap(consumer):
            read = consumer.read if kind is Many else consumer.getone
            records = [await read() for _ in range(3)]
            if kind is not Ahead:  # with `instrument` alone, what it keeps for later is current when it is received
                current = asyncdsm.current_pathway()
                hashes += [] if current is None else [current.hash]
                await consumer.seek_to_beginning()
                again = await read()
                assert again.offset == records[0].offset
    finally:
        asyncdsm.uninstrument("aiokafka")
    made = captured_streams.consumed(name)
    assert len(made) == (3 if kind is Ahead else 4)
    assert hashes == ([] if kind is Ahead else [made[2].hash])


async def test_record_received_ahead_is_current_when_it_is_returned(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name, hashes = topic(), list[int]()
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        for number in range(3):
            asyncdsm.set_consume_checkpoint("test", str(number), lambda _: None)
            await producer.send_and_wait(name, b"v")
    async with asyncdsm.wrap(Ahead(name, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")) as consumer:
        for _ in range(3):
            await consumer.getone()
            current = asyncdsm.current_pathway()
            assert current is not None
            hashes.append(current.hash)
    assert hashes == [made.hash for made in captured_streams.consumed(name)]
    assert len(set(hashes)) == 3


async def test_class_patched_after_wrap_is_called_by_every_client(kafka: Kafka, topic: Topic) -> None:
    producer = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap))
    consumer = asyncdsm.wrap(AIOKafkaConsumer(topic(), bootstrap_servers=kafka.bootstrap))
    called = list[str]()

    async def patched(name: str, *_: Any, **__: Any) -> Any:
        called.append(name)
        return SimpleNamespace()

    names = {AIOKafkaProducer: ["send_batch", "commit_transaction"], AIOKafkaConsumer: ["getone", "getmany"]}
    with pytest.MonkeyPatch.context() as patch:
        for kind, methods in names.items():
            for name in methods:
                patch.setattr(kind, name, staticmethod(functools.partial(patched, name)))
        await producer.send_batch(producer.create_batch(), "t", partition=0)
        await producer.commit_transaction()
        await consumer.getone()
        await consumer.getmany()
    assert called == ["send_batch", "commit_transaction", "getone", "getmany"]
    await producer.stop()
    await consumer.stop()


async def test_batch_builder_patched_after_a_batch_was_made_is_called(kafka: Kafka, captured_streams: Captured) -> None:
    producer = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap))
    batch = producer.create_batch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(batch), "append", lambda *_, **__: None)
        assert batch.append(timestamp=None, key=None, value=b"v") is None
    assert batch.record_count() == 0
    assert batch.append(timestamp=None, key=None, value=b"v") is not None
    await producer.stop()


async def test_asyncio_class_patched_after_wrap_is_called(captured_streams: Captured) -> None:
    aio = pytest.importorskip("confluent_kafka.aio", reason="came with 2.13")
    config = {"bootstrap.servers": "127.0.0.1:9", "group.id": "g", "log_level": 0}
    for is_instrumented in (False, True):
        if is_instrumented:
            asyncdsm.instrument("confluent_kafka")
        consumer = asyncdsm.wrap(aio.AIOConsumer(config, max_workers=1))
        for name in ("poll", "consume"):
            with pytest.MonkeyPatch.context() as patch:
                mock = AsyncMock(return_value=None if name == "poll" else [])
                patch.setattr(aio.AIOConsumer, name, mock)
                assert await getattr(consumer, name)(1, timeout=2) == mock.return_value
                mock.assert_awaited_once_with(1, timeout=2)
        assert await consumer.poll(0) is None
        await consumer.close()
    asyncdsm.uninstrument("confluent_kafka")
