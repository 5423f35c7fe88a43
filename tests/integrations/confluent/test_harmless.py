"""The user's program is never harmed: errors of asyncdsm stay its own; while nothing measures, clients are as bare."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import asyncdsm
from asyncdsm.core import current
from asyncdsm.testing import capture
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import (
    WAYS,
    consumer_config,
    from_start,
    make,
    read,
    until,
)

Topic = Callable[..., str]


@pytest.fixture(autouse=True)
def no_clients_of_other_tests() -> Iterator[None]:
    gc.collect()
    yield
    asyncdsm.uninstrument("confluent_kafka")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "instrument":
        asyncdsm.instrument("confluent_kafka")
    way: str = request.param
    return way


def broken(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")


@pytest.mark.parametrize(
    "what",
    [
        "asyncdsm_confluent.produce.begin_with_headers",
        "asyncdsm_confluent.consume.consume",
        "asyncdsm.integration.formats.kafka.make_out_edge",
        "asyncdsm.integration.formats.kafka.make_in_edge",
        "asyncdsm_confluent.client.Client.ask_cluster_id",
        "asyncdsm_confluent.lag.ConsumerLag.update",
        "asyncdsm_confluent.produce.add_context",
        "asyncdsm_confluent.produce.wrap_on_delivery",
        "asyncdsm_confluent.delivery_reports.record_reports",
        "asyncdsm_confluent.consume.store_entry",
        "asyncdsm_confluent.offsets.read_commits",
    ],
)
def test_error_of_asyncdsm_does_not_reach_the_program(
    kafka: Kafka, topic: Topic, way: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    name, reports = topic(), list[Any]()
    producer = make(way, kafka, "Producer")
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka, topic(prefix="group"))), name)
    with capture() as captured:
        captured.strict = False
        monkeypatch.setattr(what, broken)
        producer.produce(name, b"v", headers={"a": b"b"}, on_delivery=lambda error, message: reports.append(error))
        producer.produce(name, b"w", headers={"a": b"b"})
        assert producer.flush(30) == 0
        messages = read(consumer, 1)
        until(lambda: len(messages) == 2, lambda: messages.extend(consumer.consume(1, 0.5)))
        assert consumer.commit(asynchronous=False)[0].offset == 2
        consumer.close()
        assert [(message.value(), message.headers()[0]) for message in messages] == [
            (b"v", ("a", b"b")),
            (b"w", ("a", b"b")),
        ]
        assert reports == [None]
        assert captured.stats().errors > 0
    current.set_current(None)


def test_followed_client_is_as_bare_while_nothing_measures(kafka: Kafka, topic: Topic, way: str) -> None:
    name, given = topic(), [("a", b"b")]
    producer = make(way, kafka, "Producer")
    producer.produce(name, b"v", headers=given)
    producer.produce(name, b"w")
    producer.flush(30)
    consumer = from_start(make(way, kafka, "Consumer", **consumer_config(kafka)), name)
    (message,) = read(consumer, 1)
    assert message.headers() == given
    batch = consumer.consume(1, 10)
    assert (type(batch), batch[0].headers()) == (list, None)
    consumer.close()
