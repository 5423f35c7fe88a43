"""How far Kafka's consumers are behind, and how old that is: after a pause, a seek, and when nothing more is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time_ns
from typing import Any

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as Place
from asyncdsm_confluent import lag as confluent_lag
from confluent_kafka import TopicPartition

import asyncdsm
from asyncdsm import DataStreams, Lag, Settings
from asyncdsm.core.lag import add_lag_source, current_lags
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import bare_class, consumer_config, from_start, make, read, until

Topic = Callable[..., str]
PATIENCE_SECONDS = 30.0
FETCH_WAIT_SECONDS = 1.0  # twice fetch.wait.max.ms: the fetch that was asked for before the pause has ended then


def lags(topic: str) -> list[Lag]:
    return [lag for lag in current_lags() if lag.topic == topic]


def fill(kafka: Kafka, topic: str, count: int, partition: int = 0) -> None:
    bare = bare_class("Producer")({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    for _ in range(count):
        bare.produce(topic, "v", partition=partition)
    assert bare.flush(60) == 0


async def fill_async(kafka: Kafka, topic: str, count: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as bare:
        for _ in range(count):
            await bare.send_and_wait(topic, b"v", partition=0)


async def until_lag(topic: str, consumer: AIOKafkaConsumer, is_reached: Callable[[Lag], bool]) -> Lag:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await consumer.getmany(timeout_ms=50)
            found = lags(topic)
            if found and is_reached(found[0]):
                return found[0]


def aiokafka_consumer(kafka: Kafka, topic: str) -> AIOKafkaConsumer:
    bare = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    return asyncdsm.wrap(bare)


async def test_lag_of_a_paused_aiokafka_partition_says_how_old_it_is(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name, place = topic(), Place("", 0)
    await fill_async(kafka, name, 1)
    async with aiokafka_consumer(kafka, name) as consumer:
        place = Place(name, 0)
        await consumer.getone()
        await until_lag(name, consumer, lambda lag: lag.behind == 0)
        consumer.pause(place)
        await consumer.getmany(timeout_ms=1000)  # a fetch may be under way
        before = time_ns()
        await fill_async(kafka, name, 5)
        await consumer.getmany(timeout_ms=1000)
        (paused,) = lags(name)
        assert paused.seen_ns is not None
        assert paused.seen_ns <= before
        consumer.resume(place)
        resumed = await until_lag(name, consumer, lambda lag: lag.end == 6 and lag.behind == 0)
        assert resumed.seen_ns is not None
        assert resumed.seen_ns > before - 1_000_000  # aiokafka keeps whole milliseconds


async def test_lag_of_an_aiokafka_consumer_that_stopped_reading_says_how_old_it_is(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    await fill_async(kafka, name, 3)
    async with aiokafka_consumer(kafka, name) as consumer:
        await consumer.getone()
        (first,) = lags(name)
        assert (first.behind, first.end) == (2, 3)
        await asyncio.sleep(0.1)
        (later,) = lags(name)  # what was fetched is not read yet: nothing more is fetched
        assert later == first
        assert later.seen_ns is not None
        assert later.seen_ns < time_ns() - 50_000_000


async def test_lag_after_an_aiokafka_seek_is_from_there(kafka: Kafka, topic: Topic, captured_streams: Captured) -> None:
    name = topic()
    await fill_async(kafka, name, 5)
    async with aiokafka_consumer(kafka, name) as consumer:
        await until_lag(name, consumer, lambda lag: lag.behind == 0)
        consumer.seek(Place(name, 0), 2)
        assert [lag.behind for lag in lags(name)] == [3]
        consumer.unsubscribe()
        assert lags(name) == []
    assert lags(name) == []


def test_lag_of_a_paused_confluent_partition_says_how_old_it_is(
    kafka: Kafka, topic: Topic, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confluent_lag, "SECONDS_BETWEEN_LOOKS", 0.0)
    name = topic()
    fill(kafka, name, 1)
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), name)
    read(consumer, 1)
    until(lambda: [lag.behind for lag in lags(name)] == [0], lambda: consumer.poll(0.05))
    consumer.pause([TopicPartition(name, 0)])
    assert consumer.poll(FETCH_WAIT_SECONDS) is None
    before = time_ns()
    fill(kafka, name, 5)
    for _ in range(10):
        assert consumer.poll(0.1) is None
    (paused,) = lags(name)
    assert paused.seen_ns is not None
    assert paused.seen_ns <= before
    consumer.resume([TopicPartition(name, 0)])
    assert consumer.poll(0) is None
    assert lags(name) == [paused]  # not fetched yet
    read(consumer, 5)
    until(lambda: [lag.end for lag in lags(name)] == [6], lambda: consumer.poll(0.05))
    (resumed,) = lags(name)
    assert resumed.behind == 0
    assert resumed.seen_ns is not None
    assert resumed.seen_ns > before
    consumer.close()


def test_lag_of_a_partition_that_was_resumed_becomes_current(
    kafka: Kafka, topic: Topic, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confluent_lag, "SECONDS_BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(confluent_lag, "SECONDS_TO_FETCH", 0.2)
    name = topic()
    fill(kafka, name, 1)
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), name)
    read(consumer, 1)
    consumer.pause([TopicPartition(name, 0)])
    consumer.resume([TopicPartition(name, 0)])
    resumed = time_ns()
    until(lambda: [lag for lag in lags(name) if (lag.seen_ns or 0) > resumed], lambda: consumer.poll(0.05))
    consumer.close()


def test_lag_after_a_confluent_seek_is_not_known_before_the_next_message(
    kafka: Kafka, topic: Topic, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confluent_lag, "SECONDS_BETWEEN_LOOKS", 0.0)
    name = topic()
    fill(kafka, name, 5)
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), name)
    read(consumer, 5)
    consumer.pause([TopicPartition(name, 0)])
    consumer.seek(TopicPartition(name, 0, 1))
    assert consumer.poll(0) is None
    assert lags(name) == []
    consumer.resume([TopicPartition(name, 0)])
    read(consumer, 1)
    assert [(lag.behind, lag.end) for lag in lags(name)] == [(3, 5)]
    consumer.unassign()
    assert consumer.poll(0) is None
    assert lags(name) == []
    consumer.close()


async def test_lag_of_a_paused_asyncio_partition_says_how_old_it_is(
    kafka: Kafka, topic: Topic, captured_streams: Captured, monkeypatch: pytest.MonkeyPatch, blockbuster: Any
) -> None:
    aio = pytest.importorskip("confluent_kafka.aio", reason="came with 2.13")
    blockbuster.deactivate()  # librdkafka's wrapper looks things up as it starts
    monkeypatch.setattr(confluent_lag, "SECONDS_BETWEEN_LOOKS", 0.0)
    name = topic()
    await asyncio.to_thread(fill, kafka, name, 1)
    async with asyncdsm.wrap(aio.AIOConsumer(consumer_config(kafka), max_workers=1)) as consumer:
        await consumer.assign([confluent_kafka.TopicPartition(name, 0, 0)])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not lags(name):
                await consumer.poll(0.2)
        await consumer.pause([confluent_kafka.TopicPartition(name, 0)])
        assert await consumer.poll(FETCH_WAIT_SECONDS) is None
        before = time_ns()
        await asyncio.to_thread(fill, kafka, name, 5)
        for _ in range(5):
            assert await consumer.poll(0.1) is None
        (paused,) = lags(name)
        assert paused.seen_ns is not None
        assert paused.seen_ns <= before
        await consumer.resume([confluent_kafka.TopicPartition(name, 0)])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while [lag.end for lag in lags(name)] != [6]:
                await consumer.poll(0.2)


class Consumer:
    """Knows two ends: one that the broker reported just now, and an older one."""

    def lags(self) -> list[Lag]:
        now, before = time_ns(), time_ns() - 60_000_000_000
        fresh, old = Lag("g", "fresh", 0, 0, end=5, seen_ns=now), Lag("g", "old", 0, 0, end=5, seen_ns=before)
        return [fresh._replace(type="kafka"), old._replace(type="kafka")]


def test_end_of_a_paused_partition_is_not_sent_as_a_new_one() -> None:
    consumer, exporter = Consumer(), MemoryExporter()
    add_lag_source(consumer)
    with DataStreams(Settings(service="s"), exporter=exporter):
        asyncdsm.track_kafka_commit("g", "fresh", 0, 5)
    backlogs = [
        each for payload in exporter.payloads for bucket in payload.stats or [] for each in bucket.backlogs or []
    ]
    topics = {tag for each in backlogs for tag in each.tags or [] if "type:kafka_high_watermark" in (each.tags or [])}
    assert "topic:fresh" in topics
    assert "topic:old" not in topics
