"""Topics of thousands of partitions: one producer writes to all, one consumer reads all, and nothing runs over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from asyncdsm import DataStreams, Settings
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.lag import current_lags
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.delivery.high_watermarks import PARTITIONS_BETWEEN_PAUSES, HighWatermarkRecorder
from asyncdsm.testing import Captured
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.kafka import Kafka
from tests.integrations.kafka.admin import find_commits, find_ends, recorded_offsets
from tests.integrations.kafka.clients import Consumer, Producer, clients_of

PARTITIONS, SECONDS = 2000, 90.0
WAYS = ("confluent_kafka, wrap(class)", "aiokafka, wrap")


@pytest.fixture(scope="module")
def large_kafka() -> Iterator[Kafka]:
    """A broker of this file's own, whose indexes are small."""
    with apache_kafka({"log.index.size.max.bytes": "4096"}) as kafka:
        yield kafka


async def write_to_all(producer: Producer, topic: str) -> None:
    """Send one message to each partition, and wait until the broker has accepted them."""
    answers = [await producer.send(topic, number, b"%d" % number) for number in range(PARTITIONS)]
    await producer.flush()
    assert {answer.result() for answer in answers} == {0}


async def read_all(consumer: Consumer, topic: str) -> None:
    """Read a message from each partition, and go on until the consumer knows the end of each."""
    got = list[int]()
    while len(got) < PARTITIONS or [lag.end for lag in current_lags() if lag.topic == topic] != [1] * PARTITIONS:
        got += map(int, await consumer.read())
    assert sorted(got) == list(range(PARTITIONS))


async def count_turns(work: Coroutine[Any, Any, None]) -> int:
    """Return how often another task runs while this work is done."""
    turns, working = 0, asyncio.create_task(work)
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    await working
    return turns


@pytest.mark.parametrize("way", WAYS)
async def test_each_of_many_partitions_is_counted(large_kafka: Kafka, captured_streams: Captured, way: str) -> None:
    clients, topic = clients_of(way), large_kafka.topic(PARTITIONS)
    async with (
        asyncio.timeout(SECONDS),
        clients.producing(large_kafka) as producer,
        clients.consuming(large_kafka, topic, topic) as consumer,
    ):
        await write_to_all(producer, topic)
        await read_all(consumer, topic)
        await consumer.commit()
        lags = [lag for lag in current_lags() if lag.topic == topic]
        turns = await count_turns(HighWatermarkRecorder(Aggregator("s", None)).record_all())
    assert turns >= PARTITIONS // PARTITIONS_BETWEEN_PAUSES  # a flush does this in the program's event loop
    ends = await asyncio.to_thread(find_ends, large_kafka, topic)
    commits = await asyncio.to_thread(find_commits, large_kafka, topic)
    assert {lag.partition: lag.end for lag in lags} == ends == dict.fromkeys(range(PARTITIONS), 1)
    assert sum(lag.behind for lag in lags) == sum(ends.values()) - sum(commits.values()) == 0
    assert recorded_offsets(captured_streams, "kafka_produce", topic) == dict.fromkeys(range(PARTITIONS), 0)
    assert recorded_offsets(captured_streams, "kafka_commit", topic) == commits == ends
    assert len(captured_streams.produced(topic)) == len(captured_streams.consumed(topic)) == PARTITIONS


async def test_offsets_of_many_partitions_stay_within_the_setting(large_kafka: Kafka) -> None:
    """All points together are few, so each checkpoint is delivered; of offsets, a bucket keeps `max_points`."""
    clients, topic, exporter, most = clients_of(WAYS[0]), large_kafka.topic(PARTITIONS), MemoryExporter(), 1000
    settings = Settings(service="s", bucket_seconds=60, flush_seconds=60, max_points=most)
    async with asyncio.timeout(SECONDS):
        async with (
            DataStreams(settings, exporter=exporter) as streams,
            clients.producing(large_kafka) as producer,
            clients.consuming(large_kafka, topic, topic) as consumer,
        ):
            await write_to_all(producer, topic)
            await read_all(consumer, topic)
            await consumer.commit()
        stats = streams.stats
    assert (stats.recorded, stats.delivered, stats.dropped, stats.errors) == (2 * PARTITIONS, 2 * PARTITIONS, 0, 0)
    buckets = [bucket for payload in exporter.payloads for bucket in payload.stats or ()]
    assert max(len(bucket.backlogs or ()) for bucket in buckets) == most
