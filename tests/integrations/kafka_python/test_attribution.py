"""What is sent while a record is handled has that record as its parent: in loops, in batches and in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.testing import Captured
from tests.integrations.kafka_python.conftest import Make, poll_all

Topic = Callable[..., str]


def send_numbered(producer: object, topic: str, number: int) -> None:
    """Send records, each with a parent of its own."""
    for index in range(number):
        with current.restored(Pathway(1000 + index, 1, 1)):
            producer.send(topic, b"%d" % index)  # type: ignore[attr-defined]
    producer.flush()  # type: ignore[attr-defined]


def check_chains(captured: Captured, topic: str, passed: str, number: int) -> None:
    """Check that record by record the second topic continues the first."""
    sent = {made.parent: made.hash for made in captured.produced(topic)}
    taken = {made.parent: made.hash for made in captured.consumed(topic)}
    assert len(sent) == len(captured.consumed(topic)) == number
    assert {made.parent for made in captured.produced(passed)} == {taken[sent[1000 + index]] for index in range(number)}
    assert len(captured.produced(passed)) == number


def test_record_sent_in_a_loop_follows_the_record_of_the_loop(
    make_by: Make, topic: Topic, captured_streams: Captured
) -> None:
    orders, invoices = topic(), topic()
    producer, consumer = make_by(), make_by(orders, group_id="billing")
    send_numbered(producer, orders, 10)
    for number, record in enumerate(consumer, 1):
        producer.send(invoices, record.value)
        if number == 10:
            break
    producer.flush()
    check_chains(captured_streams, orders, invoices, 10)
    (tags,) = {made.tags for made in captured_streams.consumed(orders)}
    assert {f"topic:{orders}", "type:kafka", "group:billing", "direction:in"} < set(tags)
    assert any(tag.startswith("kafka_cluster_id:") for tag in tags)
    assert captured_streams.stats().errors == 0


@pytest.mark.parametrize("number", [1, 10, 1000])
def test_record_sent_in_a_loop_over_a_batch_follows_the_record_of_the_loop(
    number: int, make: Make, topic: Topic, captured_streams: Captured
) -> None:
    orders, invoices = topic(partitions=3), topic()
    producer, consumer = make(), make(orders)
    send_numbered(producer, orders, number)
    for batch in poll_all(consumer, number):
        for record in batch:
            producer.send(invoices, record.value)
        assert len(batch) == 1 or asyncdsm.current_pathway() is None
    producer.flush()
    check_chains(captured_streams, orders, invoices, number)


def test_using_makes_a_record_current_in_another_thread(make: Make, topic: Topic, captured_streams: Captured) -> None:
    orders, invoices = topic(), topic()
    producer, consumer = make(), make(orders)
    send_numbered(producer, orders, 20)

    def handle(record: object) -> None:
        with asyncdsm.using(record):
            producer.send(invoices, b"")

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(handle, [record for batch in poll_all(consumer, 20) for record in list(batch)]))
    check_chains(captured_streams, orders, invoices, 20)


def test_nothing_is_current_when_the_next_record_is_awaited(make: Make, topic: Topic) -> None:
    orders = topic()
    producer, consumer = make(), make(orders, consumer_timeout_ms=3000)
    send_numbered(producer, orders, 2)
    assert [asyncdsm.current_pathway() is None for _ in consumer] == [False, False]
    assert asyncdsm.current_pathway() is None
    current.set_current(Pathway(1, 1, 1))
    assert consumer.poll(timeout_ms=10) == {}
    assert asyncdsm.current_pathway() is None
