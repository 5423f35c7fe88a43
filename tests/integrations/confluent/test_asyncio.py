"""confluent-kafka's asyncio clients: what they receive is current in the task that awaits, not in a pool's thread."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import confluent_kafka
import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm._internal import log
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.integration.consumed_list import ConsumedList
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import bare_class, consumer_config, contexts, on_broker, tags

aio = pytest.importorskip("confluent_kafka.aio", reason="came with 2.13")

Topic = Callable[..., str]


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """librdkafka's wrapper looks things up as it starts."""


@pytest.fixture(params=["wrap", "instrument", "made before"])
def way(request: pytest.FixtureRequest, captured_streams: Captured) -> Iterator[str]:
    if request.param == "instrument":
        asyncdsm.instrument("confluent_kafka")
    yield request.param
    asyncdsm.uninstrument("confluent_kafka")


def followed(way: str, client: Any) -> Any:
    if way == "wrap":
        assert asyncdsm.wrap(client) is client
    elif way == "made before":
        asyncdsm.instrument("confluent_kafka")
    return client


@pytest.fixture
async def consumer(kafka: Kafka, way: str) -> AsyncIterator[Any]:
    async with followed(way, aio.AIOConsumer(consumer_config(kafka), max_workers=2)) as consumer:
        yield consumer


async def fill(kafka: Kafka, topic: str, count: int, first: int = 1) -> None:
    bare = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for number in range(count):
        context = Pathway(first + number, 1, 1).encode_base64().encode()
        bare.produce(topic, str(number), partition=0, headers=[(HEADER, context)])
    assert await asyncio.to_thread(bare.flush, 60) == 0


async def read_one(consumer: Any) -> Any:
    async with asyncio.timeout(60):
        while True:
            message = await consumer.poll(0.2)
            if message is not None:
                return message


async def start(consumer: Any, topic: str) -> None:
    await consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])


async def test_polled_message_is_current_in_the_task(
    kafka: Kafka, topic: Topic, consumer: Any, captured_streams: Captured
) -> None:
    name = topic()
    await fill(kafka, name, 3)
    await start(consumer, name)
    for number in range(3):
        message = await read_one(consumer)
        current = asyncdsm.current_pathway()
        assert current is not None
        assert current.hash == captured_streams.consumed(name)[number].hash
        with asyncdsm.using(message) as pathway:
            assert pathway == current
    assert [made.parent for made in captured_streams.consumed(name)] == [1, 2, 3]
    assert captured_streams.consumed(name)[0].tag("group") == "g"
    assert await asyncio.get_running_loop().run_in_executor(consumer.executor, asyncdsm.current_pathway) is None
    assert await consumer.poll(0.01) is None
    assert asyncdsm.current_pathway() is None


async def test_consumed_batch_is_followed_in_the_task(
    kafka: Kafka, topic: Topic, consumer: Any, captured_streams: Captured
) -> None:
    name, seen = topic(), list[tuple[Any, Any]]()
    await fill(kafka, name, 20)
    await start(consumer, name)
    async with asyncio.timeout(60):
        while len(seen) < 20:
            messages = await consumer.consume(500, 0.2)
            if len(messages) > 1:
                assert type(messages) is ConsumedList
                assert asyncdsm.current_pathway() is None
            seen.extend((message.value(), asyncdsm.current_pathway()) for message in messages)
    made = captured_streams.consumed(name)
    assert [pathway and pathway.hash for _, pathway in seen] == [each.hash for each in made]
    assert [each.parent for each in made] == list(range(1, 21))


async def test_commits_and_lag_of_an_asyncio_consumer_are_recorded(
    kafka: Kafka, topic: Topic, consumer: Any, captured_streams: Captured
) -> None:
    name = topic()
    await fill(kafka, name, 3)
    await start(consumer, name)
    message = await read_one(consumer)
    await consumer.commit(message=message, asynchronous=False)
    cluster = await consumer.cluster_id(0) if hasattr(consumer, "cluster_id") else None
    assert captured_streams.backlogs == {tags("kafka_commit", name, cluster, "g"): 1}


async def test_parent_is_right_in_tasks_with_a_consumer_each(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    """Each one's message is its own, whatever the others read meanwhile in the threads of one pool."""
    names = [topic() for _ in range(8)]
    for at, name in enumerate(names):
        await fill(kafka, name, 5, first=100 * (at + 1))

    async def work(at: int) -> list[int]:
        hashes = list[int]()
        async with followed(way, aio.AIOConsumer(consumer_config(kafka, f"g{at}"), max_workers=2)) as consumer:
            await start(consumer, names[at])
            for _ in range(5):
                await read_one(consumer)
                await asyncio.sleep(0.001 * at)
                current = asyncdsm.current_pathway()
                assert current is not None
                hashes.append(current.hash)
        return hashes

    for name, hashes in zip(names, await asyncio.gather(*map(work, range(8))), strict=True):
        assert [made.hash for made in captured_streams.consumed(name)] == hashes
        assert [made.parent % 100 for made in captured_streams.consumed(name)] == list(range(5))


async def test_deserializing_consumer_is_followed(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    if not hasattr(aio, "AsyncDeserializingConsumer"):
        return  # came with 2.15
    name, seen = topic(), list[Any]()
    await fill(kafka, name, 6)
    config = consumer_config(kafka, **{"value.deserializer": lambda value, _: int(value)})
    consumer = followed(way, await aio.AsyncDeserializingConsumer(config))
    await start(consumer, name)
    message = await read_one(consumer)
    current = asyncdsm.current_pathway()
    assert current is not None
    assert (message.value(), current.hash) == (0, captured_streams.consumed(name)[0].hash)
    async with asyncio.timeout(60):
        while len(seen) < 5:
            seen.extend((one.value(), asyncdsm.current_pathway()) for one in await consumer.consume(10, 0.2))
    await consumer.close()
    assert [value for value, _ in seen] == [1, 2, 3, 4, 5]
    hashes = [made.hash for made in captured_streams.consumed(name)]
    assert [pathway and pathway.hash for _, pathway in seen] == hashes[1:]
    assert len(hashes) == 6


async def test_asyncio_producer_without_headers_counts_its_messages(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    name = topic()
    log.forget_warnings()
    producer = followed(way, aio.AIOProducer({"bootstrap.servers": kafka.bootstrap, "log_level": 0}, batch_size=2))
    delivered = list[Any]()
    for number in range(3):
        with current.restored(Pathway(number + 1, 1, 1)):
            delivered.append(await producer.produce(name, b"v%d" % number, key=b"k", partition=0))
    await producer.flush()
    assert [(await one).offset() for one in delivered] == [0, 1, 2]
    with pytest.raises(NotImplementedError, match="not supported"):
        await producer.produce(name, b"v", headers={"a": b"b"})
    await asyncio.sleep(0)
    cluster = await producer.cluster_id(0) if hasattr(producer, "cluster_id") else None
    await producer.close()
    assert [(made.parent, made.size) for made in captured_streams.produced(name)] == [(1, 3), (2, 3), (3, 3)]
    assert captured_streams.backlogs == {tags("kafka_produce", name, cluster): 2}
    assert captured_streams.stats().not_propagated == 3
    assert sum("AIOProducer, but they carry no context" in record.getMessage() for record in caplog.records) == 1
    assert [contexts(message) for message in on_broker(kafka, name, 3)] == [[], [], []]


async def test_refusal_that_nobody_retrieves_is_logged_by_asyncio(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    told = asyncio.Queue[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.put_nowait(context["message"]))
    producer = followed(way, aio.AIOProducer({"bootstrap.servers": kafka.bootstrap, "log_level": 0}, batch_size=1))
    refused = await producer.produce(topic(config={"max.message.bytes": "200"}), b"." * 500)
    await producer.flush()
    await asyncio.wait([refused], timeout=60)
    del refused
    gc.collect()
    assert await asyncio.wait_for(told.get(), 60) == "Future exception was never retrieved"
    await producer.close()


async def test_serializing_producer_is_followed(
    kafka: Kafka, topic: Topic, way: str, captured_streams: Captured
) -> None:
    if not hasattr(aio, "AsyncSerializingProducer"):
        return  # came with 2.15
    config = {"bootstrap.servers": kafka.bootstrap, "value.serializer": lambda value, _: str(value).encode()}
    producer = followed(way, await aio.AsyncSerializingProducer(config))
    name = topic()
    await producer.produce(name, b"key", 1234)
    await producer.close()
    assert [made.size for made in captured_streams.produced(name)] == [3 + 4]


async def test_release_that_takes_headers_gets_the_context(
    kafka: Kafka, topic: Topic, captured_streams: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it will be: AIOProducer in front of the same producer, one call for each message."""

    async def produce(self: Any, topic: str, value: Any = None, key: Any = None, **kwargs: Any) -> Any:
        result = asyncio.get_running_loop().create_future()
        self._producer.produce(topic, value, key, on_delivery=lambda _, message: result.set_result(message), **kwargs)
        return result

    monkeypatch.setattr(aio.AIOProducer, "produce", produce)
    asyncdsm.instrument("confluent_kafka")
    try:
        producer = aio.AIOProducer({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
        name, given = topic(), {"a": b"b"}
        await producer.produce(name, b"v")
        await producer.produce(name, b"v", headers=given)
        producer._producer.flush(30)
        await producer.close()
    finally:
        asyncdsm.uninstrument("confluent_kafka")
    assert given == {"a": b"b"}
    hashes = [[made.hash] for made in captured_streams.produced(name)]
    assert len(hashes) == 2
    messages = on_broker(kafka, name, 2)
    assert [[pathway.hash for pathway in contexts(message)] for message in messages] == hashes


async def test_asyncio_client_is_as_bare_while_nothing_measures(kafka: Kafka, topic: Topic) -> None:
    name = topic()
    await fill(kafka, name, 2)
    async with asyncdsm.wrap(aio.AIOConsumer(consumer_config(kafka))) as consumer:
        await start(consumer, name)
        await read_one(consumer)
        assert type(await consumer.consume(1, 5)) is list
