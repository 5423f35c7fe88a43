"""aiokafka's consumers in groups, as Apache Kafka runs them: members that come, go and die.

Every message that the program got is counted once, with its own parent, and the commits are those that Kafka's admin
client sees.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic, backlog_tags, consumer_of
from tests.integrations.kafka.admin import find_commits
from tests.integrations.kafka.broker_side import put_messages

PARTITIONS, MESSAGES = 4, 200
SECONDS = 60.0
MEMBER = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer

async def main(bootstrap, topic):
    options = dict(session_timeout_ms=1000, heartbeat_interval_ms=300, auto_offset_reset="earliest")
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id="g-" + topic, **options,
                                enable_auto_commit=False) as consumer:
        for _ in range(10):
            await consumer.getone()
        print("read", flush=True)
        await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


async def read_forever(consumer: AIOKafkaConsumer, got: list[int]) -> None:
    """Read until cancelled."""
    async for message in consumer:
        got.append(int(message.value or b""))
        await asyncio.sleep(0.001)


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


async def leave(consumer: AIOKafkaConsumer, reading: asyncio.Task[None]) -> None:
    """End the reading of a member, and let it leave its group; it commits then."""
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await consumer.stop()


@pytest.mark.parametrize("assignor", [RoundRobinPartitionAssignor, StickyPartitionAssignor])
async def test_members_that_come_and_go_count_each_message_and_commit(
    kafka: Kafka, topic: Topic, captured_streams: Captured, assignor: Any
) -> None:
    name, got = topic(partitions=PARTITIONS), list[int]()
    await asyncio.to_thread(put_messages, kafka, name, range(MESSAGES), PARTITIONS)
    options = {"partition_assignment_strategy": [assignor], "max_poll_records": 5, "heartbeat_interval_ms": 200}
    make = partial(consumer_of, kafka, name, f"g-{name}", auto_commit_interval_ms=100, **options)
    first, second = make(), make()
    await first.start()
    first_reads = asyncio.create_task(read_forever(first, got))
    await until(lambda: len(got) >= 20)
    await second.start()
    second_reads = asyncio.create_task(read_forever(second, got))
    await until(second.assignment)
    await leave(first, first_reads)
    await until(lambda: set(got) == set(range(MESSAGES)))
    assert sum(lag.behind for lag in current_lags() if lag.topic == name) == 0
    await leave(second, second_reads)
    consumed = captured_streams.consumed(name)
    assert sorted(each.parent - 1 for each in consumed) == sorted(got)
    cluster = consumed[0].tag("kafka_cluster_id")
    found = [
        captured_streams.backlogs[backlog_tags("kafka_commit", cluster, name, f"g-{name}", partition)]
        for partition in range(PARTITIONS)
    ]
    assert found == [MESSAGES // PARTITIONS] * PARTITIONS
    assert dict(enumerate(found)) == await asyncio.to_thread(find_commits, kafka, f"g-{name}")


async def test_heir_of_a_killed_member_counts_what_it_reads_again(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    await asyncio.to_thread(put_messages, kafka, name, range(10))
    member = await asyncio.to_thread(run_until_it_has_read, kafka, name)
    member.kill()
    await asyncio.to_thread(member.communicate)
    options = {"session_timeout_ms": 1000, "heartbeat_interval_ms": 300}
    async with asyncio.timeout(SECONDS), consumer_of(kafka, name, f"g-{name}", **options) as heir:
        got = [int((await heir.getone()).value or b"") for _ in range(10)]
    assert got == list(range(10))
    assert [each.parent - 1 for each in captured_streams.consumed(name)] == got


def run_until_it_has_read(kafka: Kafka, topic: str) -> subprocess.Popen[str]:
    """Start a member in a process of its own, and return it when it has read ten messages and committed none."""
    member = subprocess.Popen([sys.executable, "-c", MEMBER, kafka.bootstrap, topic], stdout=subprocess.PIPE, text=True)
    assert member.stdout is not None
    assert member.stdout.readline() == "read\n"
    return member
