"""aiokafka on a real broker: what was acknowledged and committed, and how far behind a consumer is."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

import asyncdsm
from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic, backlog_tags, consumer_of


async def test_acknowledged_and_committed_offsets_are_recorded(
    kafka: Kafka, topic: Topic, captured_streams: Captured, producer: AIOKafkaProducer
) -> None:
    name = topic()
    await asyncio.gather(*[producer.send_and_wait(name, b"v", partition=0) for _ in range(50)])
    cluster = captured_streams.produced(name)[0].tag("kafka_cluster_id")
    backlogs, commits = captured_streams.backlogs, backlog_tags("kafka_commit", cluster, name, "g")
    assert backlogs[backlog_tags("kafka_produce", cluster, name)] == 49
    async with consumer_of(kafka, name, group="g", enable_auto_commit=False) as consumer:
        for _ in range(10):
            await consumer.getone()
        assert commits not in backlogs
        await consumer.commit({TopicPartition(name, 0): 7})
        assert backlogs[commits] == 7
        await consumer.commit()
        assert backlogs[commits] == 10
        (lag,) = [lag for lag in current_lags() if lag.topic == name]
        assert (lag.group, lag.topic, lag.partition, lag.behind, lag.unit) == ("g", name, 0, 40, "messages")
    async with consumer_of(kafka, name, group="g", auto_commit_interval_ms=100) as consumer:
        for _ in range(20):
            await consumer.getone()
        async with asyncio.timeout(10):
            while backlogs[commits] != 30:
                await asyncio.sleep(0.02)
        await consumer.getone()
    assert backlogs[commits] == 31  # the commit at shutdown


@pytest.mark.parametrize("commits", [True, False])
async def test_offsets_of_a_transaction_are_recorded_when_it_is_committed(
    kafka: Kafka, topic: Topic, captured_streams: Captured, commits: bool
) -> None:
    source, name = topic(), topic()
    async with asyncdsm.wrap(
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"t-{name}")
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(name, b"v")
        await producer.send_offsets_to_transaction({TopicPartition(source, 0): 5}, "g")
        assert not [tags for tags in captured_streams.backlogs if "type:kafka_commit" in tags]
        await (producer.commit_transaction() if commits else producer.abort_transaction())
    cluster = captured_streams.produced(name)[0].tag("kafka_cluster_id")
    assert captured_streams.backlogs.get(backlog_tags("kafka_commit", cluster, source, "g")) == (5 if commits else None)
