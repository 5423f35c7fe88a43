"""Named exchanges of RabbitMQ: a message of asyncdsm passes one, a relay, another one, and asyncdsm reads it again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.kombu.clients import fresh, tidy
from tests.interop import java, python
from tests.interop.relay import Relay
from tests.interop.watched import watched


@pytest.fixture(scope="module", autouse=True)
def tidied() -> Iterator[None]:
    yield
    tidy()


def bind(connection: Any, exchange: str, key: str) -> Any:
    queue = Queue(fresh(), Exchange(exchange, durable=False), key, expires=600)(connection.default_channel)
    queue.declare()
    return queue


@pytest.mark.parametrize("relay", [java.RELAY, python.RELAY], ids=lambda relay: relay.language)
def test_message_passes_named_exchanges_with_another_tracer_between_them(
    relay: Relay, rabbitmq: RabbitMQ, captured_streams: Captured
) -> None:
    first, second = fresh(), fresh()
    with watched({"AMQP_URL": rabbitmq.url}) as watch, Connection(rabbitmq.url) as opened:
        connection: Any = asyncdsm.wrap(opened)
        source, target = bind(connection, first, "orders"), bind(connection, second, "paid")
        publisher = connection.Producer()
        for _ in range(3):
            publisher.publish("v", exchange=first, routing_key="orders")
        watch.relay(relay, f"rabbitmq:{source.name}", f"rabbitmq:{second}/paid", 3)
        for _ in range(3):
            assert target.get(no_ack=True) is not None
        (written,) = {made.hash for made in captured_streams.produced()}
        (consumed,) = {made.parent for made in captured_streams.consumed()}
        (received,) = watch.points("direction:in", f"topic:{source.name}", "type:rabbitmq")
        (sent,) = watch.points("direction:out", f"exchange:{second}", "has_routing_key:true", "type:rabbitmq")
    assert (received.parent, received.count) == (written, 3)
    assert (sent.parent, sent.hash, sent.count) == (received.hash, consumed, 3)
