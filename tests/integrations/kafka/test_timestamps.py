"""Times of messages on Apache Kafka: those that the producer writes, and those that the broker writes instead.

A message that carries a context brings its times with it: the message's own time is not looked at, however absurd. One
that carries none starts a pathway at its own time, unless that lies in the future.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time_ns

import pytest

from asyncdsm.core.context import HEADER
from asyncdsm.core.pathway import Pathway
from asyncdsm.testing import Captured, Checkpoint, ManualClock
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import consumer_config, from_start, make, read
from tests.integrations.kafka.broker_side import bare_producer

Topic = Callable[..., str]
TYPES = ("CreateTime", "LogAppendTime")
CREATED_MS = (1, 1_700_000_000_000, 4_102_444_800_000)
"""1970, 2023 and 2100."""
EDGE_SECONDS, PATHWAY_SECONDS = 5.0, 8.0
"""What the contexts say, by the clock of the test."""
NS_PER_MS = 1_000_000


def make_topic(topic: Topic, type_of_time: str) -> str:
    """Create a topic that keeps messages of any age."""
    config = {"message.timestamp.type": type_of_time, "retention.ms": "-1"}
    return topic(config={**config, "message.timestamp.after.max.ms": str((1 << 63) - 1)})


def put_pairs(kafka: Kafka, topic: str, clock: ManualClock) -> None:
    """Produce two messages for each time: one with a context, and one without."""
    clock.now_ns = (time_ns() // NS_PER_MS + 60_000) * NS_PER_MS  # after what the broker may write
    edge_ns, pathway_ns = (clock.now_ns - round(seconds * 1e9) for seconds in (EDGE_SECONDS, PATHWAY_SECONDS))
    context = Pathway(7, pathway_ns, edge_ns).wire()
    with bare_producer(kafka) as bare:
        for created in CREATED_MS:
            bare.produce(topic, b"v", timestamp=created, headers=[(HEADER, context)])
            bare.produce(topic, b"v", timestamp=created)


def check_latencies(
    consumed: Sequence[Checkpoint], times_ms: Sequence[int], type_of_time: str, clock: ManualClock
) -> None:
    """Compare what was measured with the times of the messages, as the consumer got them."""
    assert [made.parent for made in consumed] == [7, 0] * len(CREATED_MS)
    measured = [(made.edge_latency, made.pathway_latency) for made in consumed]
    assert measured[::2] == [(EDGE_SECONDS, PATHWAY_SECONDS)] * len(CREATED_MS)
    if type_of_time == "CreateTime":
        assert tuple(times_ms[1::2]) == CREATED_MS
        assert measured[-1] == (0.0, 0.0)  # as if it had no time
    else:
        assert all(abs(clock.now_ns - ms * NS_PER_MS) < 120e9 for ms in times_ms)
    started = [ms * NS_PER_MS for ms in times_ms[1::2]]
    expected = [0.0 if start > clock.now_ns else (clock.now_ns - start) / 1e9 for start in started]
    assert measured[1::2] == [(seconds, seconds) for seconds in expected]


@pytest.mark.parametrize("type_of_time", TYPES)
def test_latencies_come_from_the_context_or_else_from_the_messages_time(  # noqa: PLR0917
    kafka: Kafka, topic: Topic, manual_clock: ManualClock, way: str, captured_streams: Captured, type_of_time: str
) -> None:
    name = make_topic(topic, type_of_time)
    put_pairs(kafka, name, manual_clock)
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), name)
    times = [message.timestamp()[1] for message in read(consumer, 2 * len(CREATED_MS))]
    consumer.close()
    check_latencies(captured_streams.consumed(name), times, type_of_time, manual_clock)
