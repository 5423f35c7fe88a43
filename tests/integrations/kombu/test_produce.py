"""Kombu: a published message carries its context, counts once, and is otherwise unchanged."""

from __future__ import annotations

from socket import SHUT_RDWR
from typing import Any

import pytest
from asyncdsm_kombu.transports import type_of
from kombu import pools
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.transport import SLMQ, azureservicebus, virtual

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.integration.formats.amqp import MAX_HEADERS_BYTES
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.kombu.clients import Broker, fresh

pytestmark = pytest.mark.usefixtures("tidy_kombu", "instrumented_kombu")


def received(connection: Any, queue: str) -> Any:
    """Return the next message of a queue."""
    message = Queue(queue)(connection.default_channel).get(no_ack=True)
    assert message is not None
    return message


def test_default_exchange_is_tagged_with_routing_key(kombu_broker: Broker, captured_streams: Captured) -> None:
    name = fresh()
    with kombu_broker.connected() as connection, connection.SimpleQueue(name) as queue:
        connection.Producer().publish("body", routing_key=name)
        (made,) = captured_streams.produced()
        assert made.tags == ("direction:out", f"topic:{name}", f"type:{kombu_broker.type}")
        assert made.parent == 0
        message = queue.get(timeout=30)
        message.ack()
    pathway = Pathway.decode_base64(message.headers[HEADER])
    assert pathway is not None
    assert pathway.hash == made.hash


@pytest.mark.parametrize(("kind", "key", "has_key"), [("direct", "k", "true"), ("fanout", "", "false")])
def test_named_exchange_is_tagged_with_its_name(
    kombu_broker: Broker, captured_streams: Captured, kind: str, key: str, has_key: str
) -> None:
    exchange = Exchange(fresh(), type=kind, durable=False)
    with kombu_broker.connected() as connection:
        producer = connection.Producer(exchange=exchange, routing_key=key)
        Queue(fresh(), exchange, key, auto_delete=True)(connection.default_channel).declare()
        producer.publish("of the producer")
        connection.Producer().publish("of the message", exchange=exchange.name, routing_key=key)
    tags = (
        "direction:out",
        f"exchange:{exchange.name}",
        f"has_routing_key:{has_key}",
        f"type:{kombu_broker.type}",
    )
    assert [made.tags for made in captured_streams.produced()] == [tags, tags]


@pytest.mark.parametrize("given", [None, {}, {"a": "b"}, {HEADER: "of another message"}])
def test_callers_headers_are_not_mutated(
    memory: Connection, captured_streams: Captured, given: dict[str, str] | None
) -> None:
    before, name = None if given is None else dict(given), fresh()
    memory.Producer().publish("body", routing_key=name, headers=given, compression="zlib")
    assert given == before
    headers = received(memory, name).headers
    assert headers.keys() == {*(given or {}), HEADER, "compression"}
    assert headers[HEADER] != "of another message"
    assert len(captured_streams.produced()) == 1


def test_headers_given_by_position_carry_the_context(memory: Connection, captured_streams: Captured) -> None:
    name, given = fresh(), {"a": "b"}
    memory.Producer().publish("body", name, None, False, False, 0, None, None, "json", given)
    assert received(memory, name).headers.keys() == {"a", HEADER}
    assert given == {"a": "b"}
    assert [made.topic for made in captured_streams.produced()] == [name]


def test_size_is_that_of_body_headers_and_context(memory: Connection, captured_streams: Captured) -> None:
    name = fresh()
    memory.Producer().publish({"x": 1}, routing_key=name, headers={"key": "värde"})
    message = received(memory, name)
    expected = len(message.body) + len("key") + len("värde".encode()) + len(HEADER) + len(message.headers[HEADER])
    assert [made.size for made in captured_streams.checkpoints] == [expected, expected]


def test_retried_publish_counts_once(rabbitmq: RabbitMQ, captured_streams: Captured) -> None:
    name = fresh()
    with Connection(rabbitmq.url) as connection:
        producer, tries = connection.Producer(), list[str]()
        queue = Queue(name, expires=600)(connection.default_channel)
        queue.declare()
        lost: Any = connection.connection
        lost.transport.sock.shutdown(SHUT_RDWR)
        producer.publish(
            "body",
            routing_key=name,
            retry=True,
            retry_policy={"max_retries": 5, "errback": lambda *_: tries.append("failed")},
        )
        assert tries == ["failed"]
        message = Queue(name)(connection.default_channel).get(no_ack=True)
    assert message is not None
    (made,) = captured_streams.produced()
    assert [taken.parent for taken in captured_streams.consumed()] == [made.hash]


def test_failed_publish_is_not_counted(
    memory: Connection, captured_streams: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise OperationalError("planted")

    producer = memory.Producer()
    monkeypatch.setattr(producer.channel, "basic_publish", failing)
    with pytest.raises(OperationalError, match="planted"):
        producer.publish("body", routing_key=fresh())
    assert captured_streams.checkpoints == []


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("celeryev", "task.sent"),
        ("reply.celery.pidbox", "k"),
        ("", "name.celery.pidbox"),
        ("", "amq.gen-Xyz"),
        ("", "amq.rabbitmq.reply-to"),
        ("", "8ec7a8a6-35b0-3a1e-9d8d-8ab2c1a0c4b1"),
    ],
)
def test_internal_queue_is_not_counted(memory: Connection, captured_streams: Captured, exchange: str, key: str) -> None:
    producer, headers = memory.Producer(), {"a": "b", HEADER: "of the request"}
    queue = Queue(key, Exchange(exchange), key)(memory.default_channel)
    queue.declare()
    producer.publish("body", exchange=exchange, routing_key=key, headers=headers)
    message = queue.get(no_ack=True)
    assert message is not None
    assert message.headers == {"a": "b"}
    assert headers == {"a": "b", HEADER: "of the request"}
    assert captured_streams.produced() == []


def test_headers_without_room_are_sent_unchanged(rabbitmq: RabbitMQ, captured_streams: Captured) -> None:
    name, headers = fresh(), {"large": "x" * (MAX_HEADERS_BYTES - 10)}
    with Connection(rabbitmq.url) as connection:
        queue = Queue(name, durable=False, auto_delete=True)(connection.default_channel)
        queue.declare()
        connection.Producer().publish("body", routing_key=name, headers={**headers, HEADER: "of another message"})
        message = queue.get(no_ack=True)
    assert message is not None
    assert message.headers == headers
    assert [made.topic for made in captured_streams.produced()] == [name]
    assert captured_streams.stats().not_propagated == 1


def test_publish_by_pool_and_simple_queue_is_counted(kombu_broker: Broker, captured_streams: Captured) -> None:
    name = fresh()
    with kombu_broker.connected() as connection, connection.SimpleQueue(name) as simple:
        simple.put("by a simple queue")
        with pools.producers[connection].acquire(block=True) as producer:
            producer.publish("by a pool", routing_key=name)
        for _ in range(2):
            message = simple.get(timeout=30)
            message.ack()
            assert HEADER in message.headers
        pools.reset()
    assert len(captured_streams.produced()) == len(captured_streams.consumed()) == 2


def test_batch_counts_each_message(redis: str, captured_streams: Captured) -> None:
    name = fresh()
    with Connection(redis) as connection:
        producer = connection.Producer()
        with producer.batch():
            for number in range(3):
                producer.publish(number, routing_key=name)
        assert [HEADER in received(connection, name).headers for _ in range(3)] == [True] * 3
    assert len(captured_streams.produced(name)) == 3


class OwnServiceBus(azureservicebus.Transport):
    """A program's own transport, by a subclass."""


class Nameless(virtual.Transport):
    """A program's own transport, which gives no name."""


@pytest.mark.parametrize(
    ("transport", "type_"),
    [
        (azureservicebus.Transport, "servicebus"),
        (OwnServiceBus, "servicebus"),
        (SLMQ.Transport, "slmq"),
        ("memory", "memory"),
        (Nameless, "N/A"),
    ],
)
def test_transport_that_gives_no_name_has_that_of_its_module(transport: Any, type_: str) -> None:
    assert type_of(Connection(transport=transport)) == type_


def test_publish_leaves_headers_alone_while_nothing_measures(memory: Connection) -> None:
    name, headers = fresh(), {"a": "b"}
    memory.Producer().publish("body", routing_key=name, headers=headers)
    assert received(memory, name).headers == {"a": "b"}
