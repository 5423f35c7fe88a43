"""A cluster of three nodes, of which one is killed under load and comes back: the leader of a partition of each topic,
and the coordinator of the group.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any

import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.current import restored
from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.kafka_cluster import KafkaCluster, kafka_cluster
from tests.integrations.kafka.admin import find_commits, find_ends, find_replicas, recorded_offsets
from tests.integrations.kafka.clients import Clients, clients_of

PARTITIONS, SECONDS = 3, 90.0
WAYS = ("confluent_kafka, instrument", "aiokafka, wrap")


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    """A cluster of this file's own."""
    with kafka_cluster(3) as cluster:
        yield cluster


async def until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


class Traffic:
    """A producer that numbers its messages, each with a parent of its own, and a group that reads them."""

    def __init__(self, clients: Clients, cluster: KafkaCluster, *, idempotent: bool) -> None:
        self.topic, self.is_stopped = cluster.topic(PARTITIONS), False
        self.answers: list[asyncio.Future[int]] = []
        self.got: list[int] = []
        self.is_idempotent, self._clients, self._cluster = idempotent, clients, cluster

    def count_accepted(self, partition: int) -> int:
        """Return how many messages of a partition the broker has accepted."""
        return sum(each.done() and each.exception() is None for each in self.answers[partition::PARTITIONS])

    async def produce(self) -> None:
        """Produce until it is stopped."""
        async with self._clients.producing(self._cluster, idempotent=self.is_idempotent) as producer:
            while not self.is_stopped:
                number = len(self.answers)
                with restored(Pathway(number + 1, time_ns(), time_ns())):
                    self.answers.append(await producer.send(self.topic, number % PARTITIONS, b"%d" % number))
                await asyncio.sleep(0.002)
            await producer.flush()

    async def consume(self, producing: asyncio.Task[None]) -> None:
        """Consume until everything is read, and the consumer knows that."""
        async with self._clients.consuming(self._cluster, self.topic, self.topic, commits=True) as consumer:
            while not producing.done():
                self.got += map(int, await consumer.read())
            ends = await asyncio.to_thread(find_ends, self._cluster, self.topic)
            while self._lags() != {partition: (end, 0) for partition, end in ends.items()}:
                self.got += map(int, await consumer.read())

    def _lags(self) -> dict[int | None, tuple[int | None, int]]:
        return {lag.partition: (lag.end, lag.behind) for lag in current_lags() if lag.topic == self.topic}


async def kill_and_restart(cluster: KafkaCluster, traffics: list[Traffic]) -> None:
    """Kill the coordinator of the groups, which leads partitions of each topic, and start it when all goes on."""
    await until(lambda: all(len(each.got) >= 100 for each in traffics))
    node = (await asyncio.to_thread(find_replicas, cluster, "__consumer_offsets"))[0].leader
    assert node is not None
    led = []
    for each in traffics:
        replicas = await asyncio.to_thread(find_replicas, cluster, each.topic)
        led += [(each, number) for number, found in replicas.items() if found.leader == node]
    assert {each.topic for each, _ in led} == {each.topic for each in traffics}
    await asyncio.to_thread(cluster.nodes[node].kill)
    for each, partition in led:
        before, read = each.count_accepted(partition), len(each.got)
        await until(lambda: each.count_accepted(partition) >= before + 20)  # noqa: B023  (awaited here)
        await until(lambda: len(each.got) >= read + 20)  # noqa: B023
    await asyncio.to_thread(cluster.nodes[node].start)
    async with asyncio.timeout(SECONDS):
        for each in traffics:
            while not all(
                found.in_sync == set(cluster.nodes)
                for found in (await asyncio.to_thread(find_replicas, cluster, each.topic)).values()
            ):
                await asyncio.sleep(0.1)


@pytest.fixture
def traffics(cluster: KafkaCluster, captured_streams: Captured) -> Iterator[list[Traffic]]:
    """Those of both clients, each with a producer that is idempotent and with one that is not."""
    asyncdsm.instrument("confluent_kafka")
    yield [Traffic(clients_of(way), cluster, idempotent=idempotent) for way in WAYS for idempotent in (True, False)]
    asyncdsm.uninstrument("confluent_kafka")


async def test_killed_leader_loses_no_count_and_no_parent(
    cluster: KafkaCluster, traffics: list[Traffic], captured_streams: Captured
) -> None:
    """What a client sends again counts once as produced. Is it on the broker twice, it is read and counted twice."""
    async with asyncio.timeout(3 * SECONDS), asyncio.TaskGroup() as tasks:
        for each in traffics:
            tasks.create_task(each.consume(tasks.create_task(each.produce())))
        await kill_and_restart(cluster, traffics)
        for each in traffics:
            each.is_stopped = True
    for each in traffics:
        assert [answer.exception() for answer in each.answers if answer.exception()] == []
        ends = await asyncio.to_thread(find_ends, cluster, each.topic)
        produced, consumed = captured_streams.produced(each.topic), captured_streams.consumed(each.topic)
        assert [made.parent - 1 for made in produced] == list(range(len(each.answers)))
        assert [made.parent for made in consumed] == [produced[number].hash for number in each.got]
        assert sum(ends.values()) == len(each.got)
        assert set(each.got) == set(range(len(each.answers)))
        acknowledged = recorded_offsets(captured_streams, "kafka_produce", each.topic)
        assert acknowledged == {
            number: max(answer.result() for answer in each.answers[number::PARTITIONS]) for number in range(PARTITIONS)
        }
        committed = recorded_offsets(captured_streams, "kafka_commit", each.topic, consumer_group=each.topic)
        assert committed == await asyncio.to_thread(find_commits, cluster, each.topic) == ends
        if each.is_idempotent:
            assert Counter(each.got) == Counter(range(len(each.answers)))
