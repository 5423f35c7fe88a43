"""asyncdsm and ddtrace read each other's contexts from messages of Kombu, with the same hashes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import node_hash, pathway_hash
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.differential.process import VERSION, run
from tests.integrations.kombu.clients import fresh, tidy

SERVICE = "test"
"""The service name of `captured_streams`."""

Theirs = Callable[..., list[int]]


@pytest.fixture(scope="module", autouse=True)
def tidied() -> Iterator[None]:
    yield
    tidy()


@pytest.fixture
def connection(rabbitmq: RabbitMQ, captured_streams: Captured) -> Iterator[Any]:
    with Connection(rabbitmq.url) as connection:
        yield asyncdsm.wrap(connection)
    current.set_current(None)


@pytest.fixture
def theirs(rabbitmq: RabbitMQ) -> Theirs:
    """Make steps under ddtrace; return the hash that is current after each."""

    def make(*steps: tuple[str, ...]) -> list[int]:
        environ = {"BROKER": rabbitmq.url, "DD_DATA_STREAMS_ENABLED": "true", "DD_SERVICE": SERVICE}
        answered = json.loads(run("kombu_calls.py", json.dumps(steps), **environ))
        assert answered["version"] == VERSION
        hashes: list[int] = answered["hashes"]
        return hashes

    return make


def declare_queue(connection: Any, exchange: str = "", key: str = "") -> Any:
    queue = Queue(fresh(), Exchange(exchange, durable=False), key, expires=600)(connection.default_channel)
    queue.declare()
    return queue


@pytest.mark.parametrize("named", [False, True])
def test_context_of_ddtrace_is_read_with_its_hash(
    connection: Any, theirs: Theirs, captured_streams: Captured, named: bool
) -> None:
    exchange, key = (fresh(), "key") if named else ("", "")
    queue = declare_queue(connection, exchange, key)
    (written,) = theirs(("publish", exchange, key or queue.name))
    assert queue.get(no_ack=True) is not None
    (read,) = captured_streams.checkpoints
    assert read.parent == written


@pytest.mark.parametrize("named", [False, True])
def test_context_of_asyncdsm_is_read_by_ddtrace_with_its_hash(
    connection: Any, theirs: Theirs, captured_streams: Captured, named: bool
) -> None:
    """ddtrace then publishes the next hop, which asyncdsm reads. All hashes are those that asyncdsm computes."""
    exchange, key = (fresh(), "key") if named else ("", "")
    queue, onward = declare_queue(connection, exchange, key), declare_queue(connection)
    for _ in range(2):  # one for ddtrace, one for asyncdsm
        connection.Producer().publish({"order": 1}, exchange=exchange, routing_key=key or queue.name)
    read, sent = theirs(("consume", queue.name), ("publish", "", onward.name))
    assert queue.get(no_ack=True) is not None
    connection.Producer().publish({"order": 1}, routing_key=onward.name)
    assert [made.hash for made in captured_streams.checkpoints[2:]] == [read, sent]
    captured_streams.clear()
    assert onward.get(no_ack=True) is not None
    assert captured_streams.checkpoints[0].parent == sent


def test_message_that_ddtrace_sends_in_a_callback_continues_the_message_before(
    connection: Any, theirs: Theirs, captured_streams: Captured
) -> None:
    """So it is with ddtrace, which counts a message after its callbacks; with asyncdsm, it continues its own."""
    queue, onward = declare_queue(connection), declare_queue(connection)
    for number in (1, 2):
        current.set_current(Pathway(number, time_ns(), time_ns()))
        connection.Producer().publish({"order": number}, routing_key=queue.name)
    first = captured_streams.produced()[0].hash
    theirs(("forward", queue.name, onward.name), ("forward", queue.name, onward.name))
    captured_streams.clear()
    while onward.get(no_ack=True) is not None:
        pass
    sent = node_hash(SERVICE, None, ("direction:out", f"topic:{onward.name}", "type:rabbitmq"))
    read = node_hash(SERVICE, None, ("direction:in", f"topic:{queue.name}", "type:rabbitmq"))
    assert [made.parent for made in captured_streams.consumed()] == [
        pathway_hash(sent, 0),
        pathway_hash(sent, pathway_hash(read, first)),
    ]
