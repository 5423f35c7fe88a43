"""Another cluster at the same address, while clients live: what was of one cluster is never said to be of the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from asyncdsm.core.lag import Lag, current_lags
from asyncdsm.testing import Captured
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.kafka import Kafka
from tests.brokers.process import free_port
from tests.integrations.kafka.admin import find_commits, recorded_offsets
from tests.integrations.kafka.clients import Consumer, Producer, clients_of

OLD, NEW = "asyncdsm-tests-cluster", "asyncdsm-tests-another"
FEWEST = 200
"""Messages in the old cluster: more than there will be in the new one."""
SECONDS = 30.0


@asynccontextmanager
async def running(cluster_id: str, port: int, *topics: str) -> AsyncIterator[Kafka]:
    """Run a cluster with these topics, each of one partition, which nobody creates by asking for them."""
    server = apache_kafka({"auto.create.topics.enable": "false"}, cluster_id=cluster_id, port=port)
    kafka = await asyncio.to_thread(server.__enter__)
    try:
        for topic in topics:
            await asyncio.to_thread(kafka.create_topic, topic)
        yield kafka
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


class Pair:
    """A producer, and a consumer that tells at each moment how far behind it is."""

    def __init__(self, topic: str, producer: Producer, consumer: Consumer) -> None:
        self.topic, self.producer, self.consumer = topic, producer, consumer
        self.sent, self.got = 0, list[int]()
        self.lags: set[tuple[str | None, int | None]] = set()
        """The clusters and the ends that it ever told."""

    async def exchange(self, captured: Captured, cluster: str) -> int:
        """Send messages and read them until both clients know this cluster, and the consumer also the end.

        Returns how many there are.
        """
        before, fewest = self.sent, FEWEST if cluster == OLD else 0
        while self.sent < fewest or self.find_clusters(captured) != ({cluster}, {cluster}):
            await self._send(self.sent)
            self.sent += 1
            await self._read_until(lambda: len(self.got) >= self.sent)
        count = self.sent - before
        await self._read_until(lambda: [lag.end for lag in self._look()] == [count])
        await self.consumer.commit()
        return count

    def find_clusters(self, captured: Captured) -> tuple[set[str | None], set[str | None]]:
        """Return the clusters to which the last messages were said to go, and from which to come."""
        made = captured.produced(self.topic)[-3:], captured.consumed(self.topic)[-3:]
        sent, read = ({each.tag("kafka_cluster_id") for each in one} for one in made)
        return sent, read

    async def _send(self, number: int) -> None:
        answer = await self.producer.send(self.topic, 0, b"%d" % number)
        await self.producer.flush()
        await answer

    async def _read_until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            self._look()
            self.got += map(int, await self.consumer.read())

    def _look(self) -> list[Lag]:
        lags = [lag for lag in current_lags() if lag.topic == self.topic]
        self.lags |= {(lag.cluster_id, lag.end) for lag in lags}
        return lags


# A member of a group on aiokafka finds out late that it is none any more, and reads again what it has read;
# librdkafka reads no more from a partition that it was given and that was missing for a moment.
@pytest.mark.parametrize(("way", "partitions"), [("confluent_kafka, wrap(class)", []), ("aiokafka, wrap", [0])])
async def test_numbers_of_two_clusters_are_not_mixed(
    captured_streams: Captured, way: str, partitions: list[int]
) -> None:
    clients, port, topic, group = clients_of(way), free_port(), "orders", "billing"
    async with asyncio.timeout(3 * SECONDS), AsyncExitStack() as later:
        async with AsyncExitStack() as earlier:
            kafka = await earlier.enter_async_context(running(OLD, port, topic))
            producer = await later.enter_async_context(clients.producing(kafka))
            consumer = await later.enter_async_context(clients.consuming(kafka, topic, group, partitions=partitions))
            pair = Pair(topic, producer, consumer)
            old = await pair.exchange(captured_streams, OLD)
        async with running(NEW, port, topic), later:
            new = await pair.exchange(captured_streams, NEW)
            committed = await asyncio.to_thread(find_commits, kafka, group)
    assert pair.got == list(range(pair.sent))
    assert new < old
    for checkpoints in captured_streams.produced(topic), captured_streams.consumed(topic):
        clusters = [made.tag("kafka_cluster_id") for made in checkpoints]
        assert clusters == sorted(clusters, key=[None, OLD, NEW].index)
        assert set(clusters[1:old]) == {OLD}  # before its first answer, a producer on librdkafka knows no cluster
    if way.startswith("confluent"):  # aiokafka's consumer may read before it has asked whose messages these are
        assert clusters == [OLD] * old + [NEW] * new
    for cluster, count in ((OLD, old), (NEW, new)):
        acknowledged = recorded_offsets(captured_streams, "kafka_produce", topic, kafka_cluster_id=cluster)
        commits = recorded_offsets(captured_streams, "kafka_commit", topic, kafka_cluster_id=cluster)
        assert (acknowledged, commits) == ({0: count - 1}, {0: count})
    assert committed == {0: new}
    assert {cluster for cluster, _ in pair.lags} == {OLD, NEW}
    assert {end for cluster, end in pair.lags if cluster == NEW} <= set(range(new + 1))
