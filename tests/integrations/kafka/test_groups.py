"""Groups as Apache Kafka runs them: each protocol, members that come, go and die; and share groups.

After each, every message that the program got is counted once, with its own parent, and the commits are those that
Kafka's admin client sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import confluent_kafka
import pytest

import asyncdsm
from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import consumer_config, make, until
from tests.integrations.kafka.admin import committed_offsets, recorded_commits
from tests.integrations.kafka.broker_side import put_messages

Topic = Callable[..., str]
PARTITIONS, MESSAGES = 4, 200
PROTOCOLS: dict[str, dict[str, Any]] = {
    "classic, eager": {"partition.assignment.strategy": "range,roundrobin", "session.timeout.ms": 6000},
    "classic, cooperative": {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 6000},
    "consumer (KIP-848)": {"group.protocol": "consumer"},
}


class Members:
    """The consumers of one group, and what they got."""

    def __init__(self, way: str, kafka: Kafka, topic: str, group: str, options: Mapping[str, Any]) -> None:
        self.topic, self.got = topic, list[int]()
        self._all: list[Any] = []
        self._make: Callable[[], Any] = lambda: make(
            way, kafka, "Consumer", **{**consumer_config(kafka, group), "enable.auto.commit": True, **options}
        )

    def join(self) -> Any:
        """Add a member, and wait until it has partitions."""
        member = self._make()
        member.subscribe([self.topic])
        self._all.append(member)
        until(member.assignment, self.poll)
        return member

    def poll(self) -> None:
        """Let each member read at most one message."""
        for member in self._all:
            message = member.poll(0.02)
            if message is not None and message.error() is None:
                self.got.append(int(message.value()))

    def leave(self, member: Any) -> None:
        """Close a member, which commits what it has read."""
        self._all.remove(member)
        member.close()

    def close(self) -> None:
        """Let all members leave."""
        for member in list(self._all):
            self.leave(member)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_members_that_come_and_go_count_each_message_and_commit(
    kafka: Kafka, topic: Topic, protocol: str, captured_streams: Captured
) -> None:
    asyncdsm.instrument("confluent_kafka")
    name, group = topic(partitions=PARTITIONS), topic(prefix="group")
    members = Members("instrument", kafka, name, group, PROTOCOLS[protocol])
    try:
        first = members.join()
        put_messages(kafka, name, range(MESSAGES), PARTITIONS)
        until(lambda: len(members.got) >= 20, members.poll)
        second = members.join()
        members.leave(first)
        until(lambda: set(members.got) == set(range(MESSAGES)), members.poll)
        assert sum(lag.behind for lag in current_lags() if lag.topic == name) == 0
        members.leave(second)
    finally:
        asyncdsm.uninstrument("confluent_kafka")
    parents = [each.parent - 1 for each in captured_streams.consumed(name)]
    assert sorted(parents) == sorted(members.got)
    commits = {(name, partition): MESSAGES // PARTITIONS for partition in range(PARTITIONS)}
    assert recorded_commits(captured_streams, group) == committed_offsets(kafka, group) == commits


def test_member_that_dies_is_replaced_and_what_it_had_counts_again(
    kafka: Kafka, topic: Topic, captured_streams: Captured
) -> None:
    """The dead member is one that is no longer polled: Kafka takes its partitions when its session is over."""
    name, group = topic(partitions=1), topic(prefix="group")
    options = {**PROTOCOLS["classic, eager"], "session.timeout.ms": 1000, "heartbeat.interval.ms": 300}
    options |= {"max.poll.interval.ms": 1000, "enable.auto.commit": False}
    put_messages(kafka, name, range(10))
    dying = Members("wrap(object)", kafka, name, group, options)
    dying.join()
    until(lambda: len(dying.got) == 10, dying.poll)
    heir = Members("wrap(object)", kafka, name, group, options)
    heir.join()
    until(lambda: len(heir.got) == 10, heir.poll)
    assert dying.got == heir.got == list(range(10))
    assert [each.parent - 1 for each in captured_streams.consumed(name)] == [*range(10), *range(10)]
    dying.close()
    heir.close()


def test_share_group_counts_each_delivery(kafka: Kafka, topic: Topic, way: str, captured_streams: Captured) -> None:
    """A released message comes again and counts again; one that was accepted or rejected does not."""
    types = getattr(confluent_kafka, "AcknowledgeType", None)
    assert types is not None, "share consumers that acknowledge came with confluent-kafka 2.16"
    name, group, deliveries = topic(), topic(prefix="group"), list[int]()
    options = {"group.id": group, "share.acknowledgement.mode": "explicit"}
    consumer = make(way, kafka, "ShareConsumer", **options)
    consumer.subscribe([name])
    kinds = {0: types.ACCEPT, 1: types.RELEASE, 2: types.REJECT}
    sent = iter(range(0, 3000, 3))

    def poll() -> None:
        if not deliveries:  # the group begins at the end of the topic, as soon as it has its partition
            start = next(sent)
            put_messages(kafka, name, range(start, start + 3))
        for message in consumer.poll(0.5):
            number = int(message.value())
            again = number in deliveries
            deliveries.append(number)
            current = asyncdsm.current_pathway()
            assert current is not None
            consumer.acknowledge(message, types.ACCEPT if again else kinds[number % 3])

    until(lambda: deliveries and any(deliveries.count(number) == 2 for number in deliveries), poll)
    for _ in range(4):
        poll()
    consumer.close()
    assert {number % 3 for number in deliveries if deliveries.count(number) == 2} == {1}
    assert [each.parent - 1 for each in captured_streams.consumed(name)] == deliveries
