"""Kombu: every message gets the right parent with many threads, checked on the broker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import time_ns
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Queue

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, node_hash, pathway_hash
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.kombu.clients import Broker, drain, fresh

pytestmark = pytest.mark.usefixtures("tidy_kombu", "instrumented_kombu")

THREADS, COUNT = 64, 640


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Broker:
    broker: str | RabbitMQ = request.getfixturevalue(request.param)
    return Broker(broker if isinstance(broker, str) else broker.url, request.param)


class Line:
    """A queue of orders and one of invoices; order number n comes with the pathway hash n + 1."""

    def __init__(self, broker: Broker) -> None:
        self.broker, self.handled = broker, list[int]()
        self.orders, self.invoices = fresh(), fresh()

    def queue(self, name: str, connection: Any) -> Queue:
        return Queue(name, expires=600)(connection.default_channel)

    def fill(self) -> None:
        asyncdsm.uninstrument("kombu")
        with Connection(self.broker.url) as connection:
            for name in (self.orders, self.invoices):
                self.queue(name, connection).declare()
            producer = connection.Producer()
            for number in range(COUNT):
                headers = {HEADER: Pathway(number + 1, time_ns(), time_ns()).encode_base64()}
                producer.publish(number, routing_key=self.orders, headers=headers)
        asyncdsm.instrument("kombu")

    def work(self, _: int) -> None:
        """Turn orders into invoices until none is left, on a connection of this thread."""

        def forward(body: int, message: Any) -> None:
            connection.Producer().publish(body, routing_key=self.invoices)
            message.ack()
            self.handled.append(body)

        with Connection(self.broker.url) as connection:
            consumer = connection.Consumer(self.queue(self.orders, connection), callbacks=[forward])
            consumer.qos(prefetch_count=1)
            with consumer:
                drain(connection, lambda: len(self.handled) >= COUNT)

    def invoiced(self) -> dict[int, int]:
        """Return the pathway hash of each invoice, read from the broker."""
        found = dict[int, int]()

        def read(body: int, message: Any) -> None:
            pathway = Pathway.decode_base64(message.headers[HEADER])
            assert pathway is not None
            found[body] = pathway.hash

        with (
            Connection(self.broker.url) as connection,
            connection.Consumer(self.queue(self.invoices, connection), callbacks=[read], no_ack=True),
        ):
            drain(connection, lambda: len(found) == COUNT)
        return found


def test_64_threads_publish_with_their_own_parent(broker: Broker, captured_streams: Captured) -> None:
    line = Line(broker)
    line.fill()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(line.work, range(THREADS)))
    consumed = node_hash("test", None, ("direction:in", f"topic:{line.orders}", f"type:{broker.type}"))
    published = node_hash("test", None, ("direction:out", f"topic:{line.invoices}", f"type:{broker.type}"))
    expected = {n: pathway_hash(published, pathway_hash(consumed, n + 1)) for n in range(COUNT)}
    assert line.invoiced() == expected
    handled = len(line.handled)
    assert len(captured_streams.consumed(line.orders)) == len(captured_streams.produced(line.invoices)) == handled
