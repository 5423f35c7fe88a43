"""Queues that only fill: messages come in, and no service was seen reading them."""

from __future__ import annotations

import pytest

from asyncdsm.agent.queries.topology import topology
from asyncdsm.map.text import list_warnings
from tests.agent.maps import MapStore

CLUSTER = "kafka_cluster_id:c1"


def unread(fill: MapStore) -> list[str]:
    """Return the names of unread queues."""
    return [queue.name for queue in topology(fill.store, 10).queues if queue.unread]


def filled(kind: str = "kafka") -> MapStore:
    """Return a store with a queue `dead-letters` that was written to five minutes ago, and just now."""
    fill = MapStore()
    for ago in (300, 5):
        fill.passed("shop", "out", "dead-letters", kind=kind, parent=0, ago=ago)
    return fill


@pytest.mark.parametrize("kind", ["kafka", "rabbitmq", "sqs", "kinesis", "redis"])
def test_queue_without_reader_is_unread(kind: str) -> None:
    fill = filled(kind)
    assert unread(fill) == ["dead-letters"]
    warning = f"dead-letters ({kind}): messages come in, but no service was seen reading them"
    assert list_warnings(topology(fill.store, 10)) == [warning]


def test_queue_with_a_reader_is_not_unread() -> None:
    fill = filled()
    fill.passed("billing", "in", "dead-letters", group="g", parent=0)
    assert unread(fill) == []
    assert list_warnings(topology(fill.store, 10)) == []


def test_reader_before_the_range_is_not_seen() -> None:
    fill = filled()
    fill.passed("billing", "in", "dead-letters", group="g", parent=0, ago=1200)
    assert unread(fill) == ["dead-letters"]
    assert [queue.name for queue in topology(fill.store, 30).queues if queue.unread] == []


def test_reader_that_does_not_know_the_cluster_is_seen() -> None:
    fill = MapStore()
    for cluster in ("c1", "c2"):
        fill.passed("shop", "out", "orders", tags=[f"kafka_cluster_id:{cluster}"], parent=0, ago=300)
    fill.passed("billing", "in", "orders", group="g", parent=0)
    assert unread(fill) == []


def test_reader_in_another_cluster_is_none() -> None:
    fill = MapStore()
    for cluster in ("c1", "c2"):
        fill.passed("shop", "out", "orders", tags=[f"kafka_cluster_id:{cluster}"], parent=0, ago=300)
    fill.passed("billing", "in", "orders", group="g", tags=["kafka_cluster_id:c2"], parent=0)
    assert [(queue.cluster, queue.unread) for queue in topology(fill.store, 10).queues] == [("c1", True), ("c2", False)]


def test_queue_from_which_the_broker_carries_messages_on_is_not_unread() -> None:
    fill = filled("sqs")
    fill.passed("billing", "in", "archive", kind="sqs")
    assert unread(fill) == []


@pytest.mark.parametrize(("kind", "queue"), [("http", ""), ("http", "api"), ("sns", "topic"), ("eventbridge", "bus")])
def test_what_is_never_read_by_its_name_is_not_unread(kind: str, queue: str) -> None:
    fill = MapStore()
    fill.passed("shop", "out", queue, kind=kind, parent=0, ago=300)
    assert unread(fill) == []


def test_exchange_is_not_unread() -> None:
    fill = MapStore()
    fill.passed("shop", "out", "", kind="rabbitmq", tags=["exchange:orders"], parent=0, ago=300)
    assert unread(fill) == []


def test_nothing_is_unread_in_the_first_minute_because_readers_report_later() -> None:
    fill = MapStore()
    fill.passed("shop", "out", "orders", parent=0, ago=15)
    assert unread(fill) == []
