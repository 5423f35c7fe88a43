"""Errors in hooks, arguments of later releases, and asyncdsm switched off: the program continues as without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core.context import HEADER
from tests.intake import counted, running_intake
from tests.integrations.kafka_python.conftest import Make, poll_all

Topic = Callable[..., str]
PARTS = [
    "asyncdsm_kafka_python.produce.add_context",
    "asyncdsm_kafka_python.produce.follow_producer",
    "asyncdsm_kafka_python.offsets.read_commits",
    "asyncdsm_kafka_python.consume.consume_record",
    "asyncdsm_kafka_python.consume.consume_record_batches",
    "asyncdsm_kafka_python.consume.follow_consumer",
    "asyncdsm_kafka_python.client.read_name",
]


@pytest.mark.parametrize("part", PARTS)
def test_errors_of_asyncdsm_reach_no_program(part: str, make_bare: Make, topic: Topic) -> None:
    name = topic()
    with running_intake() as intake, DataStreams(Settings(service="s", agent_url=intake.url)):
        asyncdsm.instrument("kafka")
        try:
            with patch(part, side_effect=ZeroDivisionError):
                producer = asyncdsm.wrap(make_bare())
                for _ in range(3):
                    producer.send(name, b"v").get(30)
                consumer = asyncdsm.wrap(make_bare(name, group_id=name))
                assert sum(map(len, poll_all(consumer, 3))) == 3
                consumer.commit()
                assert [record.value for _, record in zip(range(3), make_bare(name), strict=False)] == [b"v"] * 3
        finally:
            asyncdsm.uninstrument("kafka")


def test_switched_off_no_record_has_a_context(make_bare: Make, topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_DATA_STREAMS_ENABLED", "false")
    name = topic()
    with DataStreams():
        asyncdsm.wrap(make_bare()).send(name, b"v").get(30)
        ((record,),) = poll_all(asyncdsm.wrap(make_bare(name)), 1)
    assert record.headers == []
    assert asyncdsm.current_pathway() is None


def test_every_record_is_delivered_to_the_agent(make_bare: Make, topic: Topic) -> None:
    name = topic()
    with running_intake() as intake:
        with DataStreams(Settings(service="s", agent_url=intake.url)) as streams:
            producer = asyncdsm.wrap(make_bare())
            for _ in range(500):
                producer.send(name, b"v")
            producer.flush()
            poll_all(asyncdsm.wrap(make_bare(name)), 500)
        assert counted(intake.payloads, "direction:out") == counted(intake.payloads, "direction:in") == 500
        assert (streams.stats.errors, streams.stats.dropped, streams.stats.pending) == (0, 0, 0)


def test_subclass_with_methods_of_its_own_is_followed_once(
    make_bare: Make, topic: Topic, captured_streams: Any
) -> None:
    name = topic()
    producer = make_bare()

    class Own(type(producer)):  # type: ignore[misc]
        def send(self, topic: str, *args: Any, **kwargs: Any) -> Any:
            return super().send(topic, *args, **kwargs)

    producer.__class__ = Own
    asyncdsm.wrap(producer).send(name, b"v", headers=[("a", b"b")]).get(30)
    consumer = make_bare(name)

    class OwnConsumer(type(consumer)):  # type: ignore[misc]
        def poll(self, *args: Any, **kwargs: Any) -> Any:
            return super().poll(*args, **kwargs)

    consumer.__class__ = OwnConsumer
    record = next(asyncdsm.wrap(consumer))
    assert [key for key, _ in record.headers] == ["a", HEADER]
    assert [made.tag("direction") for made in captured_streams.checkpoints] == ["out", "in"]
