"""Times of aiokafka's records on Apache Kafka: those that the producer writes, and those that the broker writes."""

from __future__ import annotations

import asyncio

import pytest

from asyncdsm.testing import Captured, ManualClock
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic, consumer_of
from tests.integrations.kafka.test_timestamps import CREATED_MS, TYPES, check_latencies, make_topic, put_pairs


@pytest.mark.parametrize("type_of_time", TYPES)
@pytest.mark.parametrize("is_batch", [False, True])
async def test_latencies_come_from_the_context_or_else_from_the_records_time(  # noqa: PLR0917
    kafka: Kafka,
    topic: Topic,
    manual_clock: ManualClock,
    captured_streams: Captured,
    type_of_time: str,
    is_batch: bool,
) -> None:
    name, records = make_topic(topic, type_of_time), list[int]()
    await asyncio.to_thread(put_pairs, kafka, name, manual_clock)
    async with asyncio.timeout(60), consumer_of(kafka, name) as consumer:
        while len(records) < 2 * len(CREATED_MS):
            if is_batch:
                batches = await consumer.getmany(timeout_ms=1000)
                records += [record.timestamp for batch in batches.values() for record in batch]
            else:
                records.append((await consumer.getone()).timestamp)
    check_latencies(captured_streams.consumed(name), records, type_of_time, manual_clock)
