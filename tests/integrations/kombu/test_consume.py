"""Kombu: a message's pathway comes from its own queue, and is current while the message is handled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer
from kombu.mixins import ConsumerMixin, ConsumerProducerMixin

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.kombu.clients import Broker, Seen, drain, fresh

pytestmark = pytest.mark.usefixtures("tidy_kombu", "instrumented_kombu")


@pytest.fixture
def connection(kombu_broker: Broker) -> Iterator[Connection]:
    with kombu_broker.connected() as connection:
        yield connection


def make_queue(connection: Any, *bodies: Any, **options: Any) -> Queue:
    """Return a fresh queue with these messages."""
    queue = Queue(fresh(), expires=600)(connection.default_channel)
    queue.declare()
    producer = connection.Producer()
    for body in bodies:
        producer.publish(body, routing_key=queue.name, **options)
    return queue


@pytest.mark.parametrize("way", ["callbacks", "on_message"])
def test_each_message_is_tagged_with_its_own_queue(
    connection: Connection, kombu_broker: Broker, captured_streams: Captured, way: str
) -> None:
    first, second = make_queue(connection, "one"), make_queue(connection, "two")
    seen = Seen()
    how: dict[str, Any] = {"callbacks": [seen.callback]} if way == "callbacks" else {"on_message": seen.on_message}
    with Consumer(connection.default_channel, [first, second], **how):
        drain(connection, lambda: len(seen.messages) == 2)
    for queue, body in ((first, "one"), (second, "two")):
        (made,), (taken,) = captured_streams.produced(queue.name), captured_streams.consumed(queue.name)
        assert taken.tags == ("direction:in", f"topic:{queue.name}", f"type:{kombu_broker.type}")
        assert taken.follows(made)
        assert seen.hashes[body] == taken.hash
        assert taken.size == made.size
    assert asyncdsm.current_pathway() is None


def test_publish_in_a_callback_follows_the_message(connection: Connection, captured_streams: Captured) -> None:
    source, target = make_queue(connection, *range(5)), make_queue(connection)
    done = list[int]()

    def forward(body: int, message: Any) -> None:
        connection.Producer().publish(body, routing_key=target.name)
        message.ack()
        done.append(body)

    with connection.Consumer(source, callbacks=[forward]):
        drain(connection, lambda: len(done) == 5)
    assert asyncdsm.current_pathway() is None
    (parent,) = {taken.hash for taken in captured_streams.consumed(source.name)}
    assert [made.parent for made in captured_streams.produced(target.name)] == [parent] * 5


def test_callback_that_raises_leaves_no_pathway(memory: Connection, captured_streams: Captured) -> None:
    def failing(*_: Any) -> None:
        assert asyncdsm.current_pathway() is not None
        raise LookupError("planted")

    with memory.Consumer(make_queue(memory, "body"), callbacks=[failing]), pytest.raises(LookupError, match="planted"):
        memory.drain_events(timeout=1)
    assert asyncdsm.current_pathway() is None
    assert len(captured_streams.consumed()) == 1


def test_message_that_cannot_be_decoded_is_counted(memory: Connection, captured_streams: Captured) -> None:
    errors = list[Exception]()

    def on_decode_error(message: Any, error: Exception) -> None:
        errors.append(error)
        message.ack()

    queue = make_queue(memory, b"no JSON", content_type="application/json", content_encoding="utf-8")
    with memory.Consumer(queue, callbacks=[Seen().callback], on_decode_error=on_decode_error):
        memory.drain_events(timeout=1)
    assert len(errors) == len(captured_streams.consumed()) == 1


def test_simple_queue_counts_only_messages_it_hands_out(connection: Connection, captured_streams: Captured) -> None:
    name = fresh()
    with connection.SimpleQueue(name, queue_opts={"expires": 600}) as simple:
        for number in range(3):
            simple.put(number)
        first = simple.get(timeout=30)
        current = asyncdsm.current_pathway()
        assert current is not None
        assert [taken.hash for taken in captured_streams.consumed()] == [current.hash]
        first.ack()
        drain(connection, lambda: len(simple.buffer) == 2)  # fetched ahead
        assert len(captured_streams.consumed()) == 1
        second, third = simple.get(), simple.get()
        for message in (second, third):
            message.ack()
        with pytest.raises(simple.Empty):
            simple.get(timeout=0.1)
        assert asyncdsm.current_pathway() is None
    assert len(captured_streams.consumed(name)) == 3


@pytest.mark.parametrize("way", ["get", "get_nowait", "block=False"])
def test_get_makes_its_message_current(connection: Connection, captured_streams: Captured, way: str) -> None:
    queue = make_queue(connection, "body")
    if way == "get":
        message = queue.get(no_ack=True)
    else:
        with connection.SimpleQueue(queue, no_ack=True) as simple:
            message = simple.get_nowait() if way == "get_nowait" else simple.get(block=False)
    assert message is not None
    (made,), (taken,) = captured_streams.produced(), captured_streams.consumed()
    assert taken.topic == queue.name
    assert taken.follows(made)
    pathway = asyncdsm.current_pathway()
    assert pathway is not None
    assert pathway.hash == taken.hash
    assert queue.get() is None
    assert asyncdsm.current_pathway() is None


class Worker(ConsumerMixin):
    """A consumer as in Kombu's documentation."""

    def __init__(self, connection: Connection, queue: Queue, seen: Seen) -> None:
        self.connection, self.queue, self.seen = connection, queue, seen

    def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: N803
        return [Consumer([self.queue], callbacks=[self.task])]

    def task(self, body: Any, message: Any) -> None:
        self.seen.callback(body, message)
        self.should_stop = len(self.seen.messages) == 3


class Forwarder(Worker, ConsumerProducerMixin):
    """A consumer that publishes as well, on another connection."""

    def task(self, body: Any, message: Any) -> None:
        self.producer.publish(body, routing_key=f"{self.queue.name}-next")
        super().task(body, message)


@pytest.mark.parametrize("kind", [Worker, Forwarder])
def test_consumer_mixins_are_followed(connection: Connection, captured_streams: Captured, kind: type[Worker]) -> None:
    queue, seen = make_queue(connection, 1, 2, 3), Seen()
    worker: Any = kind(connection, Queue(queue.name, expires=600), seen)
    for _ in worker.consume(limit=None, timeout=30):
        pass
    (taken,) = {taken.hash for taken in captured_streams.consumed(queue.name)}
    assert seen.hashes == dict.fromkeys((1, 2, 3), taken)
    parents = [made.parent for made in captured_streams.produced(f"{queue.name}-next")]
    assert parents == ([taken] * 3 if kind is Forwarder else [])


def test_using_finds_the_pathway_after_the_callback(connection: Connection, captured_streams: Captured) -> None:
    queue, kept = make_queue(connection, 1, 2), list[Any]()
    with connection.Consumer(queue, on_message=kept.append, no_ack=True):
        drain(connection, lambda: len(kept) == 2)
    (taken,) = {taken.hash for taken in captured_streams.consumed()}
    for message in kept:
        with asyncdsm.using(message) as pathway:
            assert pathway is not None
            assert pathway.hash == taken
        assert message.delivery_info["routing_key"] == queue.name
    assert len(captured_streams.consumed()) == 2


def test_message_without_readable_context_begins_a_pathway(memory: Connection, captured_streams: Captured) -> None:
    queue = make_queue(memory, "with")
    asyncdsm.uninstrument("kombu")
    memory.Producer().publish("without", routing_key=queue.name)
    memory.Producer().publish("unreadable", routing_key=queue.name, headers={HEADER: "?"})
    memory.Producer().publish("old", routing_key=queue.name, timestamp=1_700_000_000)
    asyncdsm.instrument("kombu")
    seen = Seen()
    with memory.Consumer(queue, callbacks=[seen.callback]):
        drain(memory, lambda: len(seen.messages) == 4)
    (made,) = captured_streams.produced()
    taken = captured_streams.consumed()
    assert [each.parent for each in taken] == [made.hash, 0, 0, 0]
    assert captured_streams.stats().malformed == 1
    assert taken[1].pathway_latency == 0
    assert taken[3].pathway_latency > 1_000_000


@pytest.mark.parametrize(
    "name", ["celeryev.1", "a.celery.pidbox", "amq.gen-X", "amq_0xbbde83c36fdd", "8ec7a8a6-35b0-3a1e-9d8d-8ab2c1a0c4b1"]
)
def test_internal_queue_is_not_counted(memory: Connection, captured_streams: Captured, name: str) -> None:
    queue, seen = Queue(name)(memory.default_channel), Seen()
    queue.declare()
    with memory.Consumer(queue, callbacks=[seen.callback]):
        memory.Producer().publish("body", routing_key=name)
        drain(memory, lambda: seen.messages)
    assert seen.messages == [("body", None)]
    assert captured_streams.checkpoints == []


@pytest.mark.parametrize("exclusive", [True, False])
def test_replies_do_not_lengthen_the_pathway(rabbitmq: RabbitMQ, captured_streams: Captured, exclusive: bool) -> None:
    with Connection(rabbitmq.url) as connection:
        jobs, replies = Queue(fresh(), auto_delete=True), Queue(fresh(), exclusive=exclusive, auto_delete=True)
        jobs, replies = jobs(connection.default_channel), replies(connection.default_channel)
        jobs.declare()
        replies.declare()
        producer = connection.Producer()
        with current.restored(Pathway(9, 1, 1)):
            for _ in range(5):
                producer.publish("x", routing_key=jobs.name, reply_to=replies.name)
                job: Any = jobs.get(no_ack=True)
                producer.publish("y", routing_key=job.properties["reply_to"])
                current.set_current(Pathway(9, 1, 1))
                while replies.get(no_ack=True) is None:
                    pass
                if exclusive:
                    assert asyncdsm.current_pathway() == Pathway(9, 1, 1)
        replies.delete()
        jobs.delete()
    assert len(captured_streams.consumed(replies.name)) == (0 if exclusive else 5)
    distinct = {(point.tags, point.hash) for point in captured_streams.checkpoints}
    assert len(distinct) == (3 if exclusive else 4 * 5)
