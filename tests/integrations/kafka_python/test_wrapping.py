"""Clients that are wrapped, instrumented, or both: each record counts once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import KafkaConsumer, KafkaProducer

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.kafka_python.conftest import Make, poll_all

Topic = Callable[..., str]


def counts(captured: Captured, producer: object, consumer: object, topic: str) -> tuple[int, int]:
    """Send a record and receive it; return how many checkpoints that makes."""
    captured.clear()
    producer.send(topic, b"v").get(30)  # type: ignore[attr-defined]
    poll_all(consumer, 1)
    return len(captured.produced(topic)), len(captured.consumed(topic))


def test_record_counts_once_on_clients_that_are_wrapped_twice(
    make_by: Make, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    producer, consumer = asyncdsm.wrap(make_by()), asyncdsm.wrap(make_by(name))
    assert counts(captured_streams, producer, consumer, name) == (1, 1)


def test_clients_that_exist_are_instrumented_and_restored(
    make_bare: Make, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    producer, consumer = make_bare(), make_bare(name)
    send = KafkaProducer.send
    asyncdsm.instrument("kafka")
    try:
        assert counts(captured_streams, producer, consumer, name) == (1, 1)
    finally:
        asyncdsm.uninstrument("kafka")
    assert KafkaProducer.send is send
    assert counts(captured_streams, producer, consumer, name) == (0, 0)


def test_wrapped_client_stays_followed_after_uninstrument(
    make_by: Make, way: str, topic: Topic, captured_streams: Captured
) -> None:
    name = topic()
    producer, consumer = make_by(), make_by(name)
    asyncdsm.uninstrument("kafka")
    expected = (0, 0) if way == "instrument" else (1, 1)
    assert counts(captured_streams, producer, consumer, name) == expected


@pytest.mark.parametrize("cls", [KafkaProducer, KafkaConsumer])
def test_wrap_of_a_class_says_what_it_takes(cls: type) -> None:
    with pytest.raises(asyncdsm.UnknownClientError, match="it takes a KafkaProducer or a KafkaConsumer"):
        asyncdsm.wrap(cls)
