"""What dd-trace-go does with odd contexts, and asyncdsm with what it makes of them, beyond the pipelines."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from time import time
from typing import Any

import pytest
from confluent_kafka import Producer

import asyncdsm
from asyncdsm.core.context import HEADER, LEGACY_HEADER, encode_varint
from asyncdsm.core.pathway import Pathway
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.kafka.admin import group_lag
from tests.interop.golang import RELAY
from tests.interop.test_java import receive, send
from tests.interop.watched import Watched, watched

HASH = 0x1234_5678_9ABC_DEF0
HOUR_MS = 3_600_000


def context(hash_: int, origin_ms: int, edge_ms: int) -> bytes:
    """Return the base64 text of a context, whose times may be what asyncdsm never writes."""
    times = (encode_varint(ms * 2 if ms >= 0 else -ms * 2 - 1) for ms in (origin_ms, edge_ms))
    return b64encode(b"".join((hash_.to_bytes(8, "little"), *times)))


NOW_MS = int(time() * 1000)
USUAL = context(HASH, NOW_MS - 1000, NOW_MS - 500)


@pytest.fixture
def watch(kafka: Kafka) -> Iterator[Watched]:
    with watched({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}) as found:
        yield found


@pytest.fixture
def producer(kafka: Kafka) -> Any:
    """A producer that asyncdsm does not follow."""
    return Producer({"bootstrap.servers": kafka.bootstrap})


@pytest.fixture
def watched_streams(watch: Watched, captured_streams: Captured) -> tuple[Watched, Captured]:
    """What the relay's tracer sends to an agent, and what asyncdsm records in this process."""
    return watch, captured_streams


def relay_contexts(watch: Watched, topic: Callable[..., str], producer: Any, *contexts: bytes) -> str:
    """Send a message with each of the contexts through the relay, and return the topic that they are in then."""
    source, target = topic(), topic()
    for value in contexts:
        send(producer, source, b"v", (HEADER, value))
    watch.relay(RELAY, f"kafka:{source}", f"kafka:{target}", len(contexts))
    return target


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(context(2**64 - 1, NOW_MS - 1000, NOW_MS - 500), id="the largest hash"),
        pytest.param(context(HASH, 0, 0), id="of 1970"),
        pytest.param(context(HASH, NOW_MS + HOUR_MS, NOW_MS + HOUR_MS), id="of the next hour"),
        pytest.param(context(HASH, NOW_MS - 1000, -HOUR_MS), id="whose last checkpoint was before 1970"),
        pytest.param(b64encode(Pathway(HASH, 0, 0).encode() + b"more"), id="with more after its end"),
    ],
)
def test_context_is_continued_by_go_and_then_by_asyncdsm(
    value: bytes,
    kafka: Kafka,
    topic: Callable[..., str],
    producer: Any,
    watched_streams: tuple[Watched, Captured],
) -> None:
    watch, captured = watched_streams
    target = relay_contexts(watch, topic, producer, value)
    receive(kafka, target, 1)
    ((read_,), (sent,)) = watch.points("direction:in"), watch.points("direction:out")
    assert (read_.parent, read_.count) == (2**64 - 1 if value.startswith(b"////") else HASH, 1)
    assert (sent.parent, sent.count) == (read_.hash, 1)
    (consumed,) = captured.consumed(target)
    assert consumed.parent == sent.hash
    assert captured.stats().malformed == 0
    assert watch.answer("health")["clamped_buckets"] == 0


def test_pathway_from_before_1970_is_continued_by_go_and_begins_anew_at_asyncdsm(
    kafka: Kafka, topic: Callable[..., str], producer: Any, watched_streams: tuple[Watched, Captured]
) -> None:
    watch, captured = watched_streams
    target = relay_contexts(watch, topic, producer, context(HASH, -HOUR_MS, NOW_MS))
    receive(kafka, target, 1)
    (read_,) = watch.points("direction:in")
    assert (read_.parent, read_.count) == (HASH, 1)
    (consumed,) = captured.consumed(target)
    assert consumed.parent == 0
    assert captured.stats().malformed == 1


def test_context_that_go_cannot_read_begins_a_pathway(topic: Callable[..., str], producer: Any, watch: Watched) -> None:
    """It reads only the base64 text, which is what asyncdsm writes, and of several headers the last."""
    source, other = topic(), context(1, NOW_MS, NOW_MS)
    send(producer, source, b"no context")
    send(producer, source, b"malformed", (HEADER, b"!!!!"))
    send(producer, source, b"no padding", (HEADER, USUAL.rstrip(b"=")))
    send(producer, source, b"no last checkpoint", (HEADER, b64encode(Pathway(HASH, 0, 0).encode()[:9])))
    send(producer, source, b"legacy", (LEGACY_HEADER, Pathway(HASH, 0, 0).encode()))
    send(producer, source, b"both", (LEGACY_HEADER, Pathway(1, 0, 0).encode()), (HEADER, USUAL))
    send(producer, source, b"two", (HEADER, other), (HEADER, USUAL))
    watch.relay(RELAY, f"kafka:{source}", "-", 7)
    assert watch.counts_by_parent("direction:in") == {0: 5, HASH: 2}


def test_group_of_kafka_go_seems_one_message_behind(
    kafka: Kafka, topic: Callable[..., str], watch: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tracer reports the offset of the last message that was read, where Kafka has that of the next one."""
    monkeypatch.setenv("DD_TRACE_AGENT_URL", watch.url)
    name = topic()
    with asyncdsm.DataStreams(asyncdsm.Settings(service="shop", agent_url=watch.url)):
        followed = asyncdsm.wrap(Producer({"bootstrap.servers": kafka.bootstrap}))
        for _ in range(5):
            send(followed, name, b"v")
    watch.relay(RELAY, f"kafka:{name}", "-", 5)
    assert group_lag(kafka, "relay-relay", name) == 0
    ((group, topic_, _, behind),) = watch.lags()
    assert (group, topic_, behind) == ("relay-relay", name, 1)
