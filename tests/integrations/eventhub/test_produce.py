"""azure-eventhub: what is sent carries its context and counts once, and the caller's events stay as they are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.eventhub import EventData, EventDataBatch
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.eventhub.exceptions import EventHubError

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.eventhub.clients import Clients, context_of, hash_of, until

LIMIT = 256 * 1024
PROPERTIES: dict[Any, Any] = {"tenant": "a", b"raw": b"b", "number": 4711}


def make_event(body: str) -> EventData:
    event = EventData(body)
    event.properties = dict(PROPERTIES)
    return event


def make_forwarded(body: bytes) -> EventData:
    """Return an event with the properties of one that was received."""
    event, properties = EventData(body), dict[Any, Any]({HEADER.encode(): b"of another event"})
    event.properties = properties
    return event


def make_annotated(body: str) -> AmqpAnnotatedMessage:
    return AmqpAnnotatedMessage(data_body=body.encode(), application_properties=dict(PROPERTIES))


def visible(event: Any) -> Any:
    """Return what a program sees of an event."""
    raw: Any = event.raw_amqp_message if isinstance(event, EventData) else event
    return str(raw), dict(raw.application_properties), id(raw.application_properties), raw.annotations


def begin(name: str) -> None:
    asyncdsm.set_consume_checkpoint("other", name, dict[str, str]().get)


def by_body(events: list[EventData]) -> dict[str, int]:
    return {event.body_as_str(): hash_of(event) for event in events}


async def test_each_way_to_send_counts_and_leaves_the_events_alone(
    clients: Clients, captured_streams: Captured
) -> None:
    producer, succeeded = clients.producer(), list[Any]()

    async def note(events: Any, partition_id: str | None) -> None:
        succeeded.extend(events)

    producer._on_success = note
    given = [make(body) for make in (make_event, make_annotated) for body in "abc"]
    before = list(map(visible, given))
    parents = list[int]()
    for event in given[:2]:
        begin(str(len(parents)))
        await producer.send_event(event, partition_id="0")
    await producer.send_event(given[3])
    await producer.send_batch([given[1], given[4]], partition_id="0")
    await producer.send_batch(iter([given[0]]), partition_id="0")  # type: ignore[arg-type]
    await producer.send_batch([])
    batch = await producer.create_batch(partition_id="1")
    for event in (given[2], given[5]):
        begin(str(event))
        batch.add(event)
    counted = len(captured_streams.produced(clients.hub))
    begin("at the sending")
    await producer.send_batch(batch)
    await producer.send_batch(batch)
    assert list(map(visible, given)) == before
    assert [id(each) for each in succeeded] == [id(given[number]) for number in (0, 1, 3, 1, 4, 0, 2, 5, 2, 5)]
    received = await clients.read(10)
    sent = captured_streams.produced(clients.hub)
    assert (counted, len(sent)) == (6, 10)
    assert sorted(map(hash_of, received)) == sorted(made.hash for made in sent)
    assert len({made.hash for made in sent[6:]}) == 2
    assert {made.tags for made in sent} == {("direction:out", f"topic:{clients.hub}", "type:eventhubs")}
    for event in received:
        properties = event.properties or {}
        others = {name: value for name, value in properties.items() if name != HEADER.encode()}
        assert others == {b"tenant": b"a", b"raw": b"b", b"number": 4711}


async def test_one_event_sent_by_many_tasks_at_once_has_each_ones_context(
    clients: Clients, captured_streams: Captured
) -> None:
    event, producer = EventData("body"), clients.producer()

    async def send(number: int) -> None:
        begin(f"t{number}")
        await producer.send_event(event)

    await asyncio.gather(*map(send, range(10)))
    sent = captured_streams.produced(clients.hub)
    assert len({made.parent for made in sent}) == 10
    assert set(map(hash_of, await clients.read(10))) == {made.hash for made in sent}


async def test_buffered_events_have_the_parent_of_their_sending_and_count_when_they_are_sent(
    clients: Clients, captured_streams: Captured
) -> None:
    succeeded, failed = list[Any](), list[Any]()

    async def on_success(events: Any, partition_id: str | None) -> None:
        succeeded.extend(events)

    async def on_error(events: Any, partition_id: str | None, error: Exception) -> None:
        failed.append((events, error))

    producer = clients.producer(buffered_mode=True, on_success=on_success, on_error=on_error, max_wait_time=0.5)
    given = [make_event(body) for body in "abcdef"]
    before = list(map(visible, given))
    for event in given[:2]:
        begin(event.body_as_str())
        await producer.send_event(event)
    begin("c")
    await producer.send_batch([*given[2:4]])
    batch = await producer.create_batch()
    for event in given[4:]:
        begin(event.body_as_str())
        batch.add(event)
    await producer.send_batch(batch)
    begin("flush")
    assert len(captured_streams.produced(clients.hub)) == len(succeeded)
    await producer.flush()
    assert (sorted(map(id, succeeded)), failed) == (sorted(map(id, given)), [])
    assert list(map(visible, given)) == before
    hashes = by_body(await clients.read(6))
    sent = {made.hash: made for made in captured_streams.produced(clients.hub)}
    assert (len(captured_streams.produced(clients.hub)), set(hashes.values())) == (6, set(sent))
    parents = {made.tag("topic"): made.hash for made in captured_streams.consumed()}
    for body, topic in zip("abcdef", "abccef", strict=True):
        assert sent[hashes[body]].parent == parents[topic]


async def test_event_without_room_for_a_context_goes_without(clients: Clients, captured_streams: Captured) -> None:
    producer = clients.producer()
    await producer.send_event(forwarded := make_forwarded(b"x" * (LIMIT - 60)), partition_id="0")
    assert forwarded.properties == {HEADER.encode(): b"of another event"}
    two: list[Any] = [EventData(b"y" * (LIMIT // 2 - 50)) for _ in range(2)]
    await producer.send_batch(two, partition_id="0")
    batch = await producer.create_batch(partition_id="0", max_size_in_bytes=100)
    batch.add(make_forwarded(b"z" * 60))
    with pytest.raises(ValueError, match="size limit"):
        batch.add(EventData(b"z" * 60))
    await producer.send_batch(batch)
    own = EventDataBatch(partition_id="0")
    own.add(EventData("unobserved"))
    await producer.send_batch(own)
    received = await clients.read(5)
    assert list(map(context_of, received)) == [None] * 5
    stats = captured_streams.counters.to_stats()
    assert (len(captured_streams.produced(clients.hub)), stats.not_propagated, stats.errors) == (5, 5, 0)


async def test_event_that_is_refused_is_not_counted(clients: Clients, captured_streams: Captured) -> None:
    producer, odd = clients.producer(), [4711, None, "text"]
    for event in odd:
        with pytest.raises((TypeError, AttributeError)):
            await producer.send_event(event)  # type: ignore[arg-type]
        with pytest.raises((TypeError, AttributeError)):
            await producer.send_batch([event])  # type: ignore[list-item]
    with pytest.raises(EventHubError, match="too large"):
        await producer.send_event(EventData(b"x" * LIMIT))
    with pytest.raises(ValueError, match="limit"):
        await producer.send_batch([EventData(b"x" * LIMIT)])

    def broken() -> Any:
        yield EventData("body")
        raise LookupError("the caller's own")

    with pytest.raises(LookupError, match="own"):
        await producer.send_batch(broken())
    assert captured_streams.checkpoints == []


async def test_properties_that_are_sent_on_get_a_fresh_context(
    clients: Clients, captured_streams: Captured, name: Any
) -> None:
    further, producer = name(), clients.producer()
    forward, done = clients.producer(further), list[Any]()
    await producer.send_event(make_event("body"))

    async def on_event(_context: Any, event: Any) -> None:
        onward = EventData(event.body_as_str())  # the client cannot send a received event: it encodes no timestamps
        onward.properties = event.properties
        await forward.send_event(onward)
        done.append(event)

    async with clients.receiving(clients.consumer().receive(on_event, starting_position="-1")):
        await until(lambda: done)
    (again,) = await clients.read(1, further)
    (last,) = captured_streams.produced(further)
    assert last.follows(captured_streams.consumed(clients.hub)[0])
    assert hash_of(again) == last.hash
    assert set(again.properties) == {b"tenant", b"raw", b"number", HEADER.encode()}
