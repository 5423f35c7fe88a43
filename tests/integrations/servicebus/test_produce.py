"""azure-servicebus: what is sent carries its context and counts once, and the caller's messages stay as they are."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import MessageSizeExceededError

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.servicebus.clients import Links, Name, Pair, context_of

LIMIT = 256 * 1024
PROPERTIES: dict[Any, Any] = {"tenant": "a", b"raw": b"b", "number": 4711}


def make_message(body: str) -> ServiceBusMessage:
    return ServiceBusMessage(body, application_properties=dict(PROPERTIES), subject="s")


def make_annotated(body: str) -> AmqpAnnotatedMessage:
    return AmqpAnnotatedMessage(data_body=body.encode(), application_properties=dict(PROPERTIES))


def make_mapping(body: str) -> dict[str, Any]:
    return {"body": body, "application_properties": dict(PROPERTIES)}


def visible(message: Any) -> Any:
    """Return what a program sees of a message."""
    if isinstance(message, dict):
        return deepcopy(message)
    raw: Any = message.raw_amqp_message if isinstance(message, ServiceBusMessage) else message
    annotations = None if raw.annotations is None else dict(raw.annotations)
    return str(message), dict(raw.application_properties), id(raw.application_properties), annotations


@pytest.mark.parametrize("make", [make_message, make_annotated, make_mapping])
async def test_message_sent_twice_has_a_fresh_context_each_time_and_stays_as_it_is(
    pair: Pair, captured_streams: Captured, make: Any
) -> None:
    message = make("body")
    before = visible(message)
    await pair.sender.send_messages(message)
    asyncdsm.set_consume_checkpoint("other", "elsewhere", dict[str, str]().get)
    await pair.sender.send_messages(message)
    assert visible(message) == before
    first, second = await pair.receive(2)
    sent = captured_streams.produced(pair.queue)
    assert [getattr(context_of(each), "hash", None) for each in (first, second)] == [made.hash for made in sent]
    assert sent[0].hash != sent[1].hash
    others = {name: value for name, value in (first.application_properties or {}).items() if name != HEADER.encode()}
    assert others == {b"tenant": b"a", b"raw": b"b", b"number": 4711}
    assert sent[0].tags == ("direction:out", f"topic:{pair.queue}", "type:servicebus")


async def test_one_message_sent_by_many_tasks_at_once_has_each_ones_context(
    client: ServiceBusClient, pair: Pair, captured_streams: Captured, links: Links
) -> None:
    message = ServiceBusMessage("body")

    async def send(number: int, sender: Any) -> None:
        asyncdsm.set_consume_checkpoint("other", f"t{number}", dict[str, str]().get)
        await sender.send_messages(message)

    # The client's sender cannot be used by two tasks at once, so each task has its own.
    senders = await links.open(*(client.get_queue_sender(pair.queue) for _ in range(10)))
    await asyncio.gather(*(send(number, sender) for number, sender in enumerate(senders)))
    received = await pair.receive(10)
    assert {pathway.hash for pathway in map(context_of, received) if pathway} == {
        made.hash for made in captured_streams.produced(pair.queue)
    }
    assert len({made.parent for made in captured_streams.produced(pair.queue)}) == 10


async def test_list_generator_and_batch_count_each_message(pair: Pair, captured_streams: Captured) -> None:
    makers = (make_message, make_annotated, make_mapping)
    given = [make(f"list {make.__name__}") for make in makers]
    before = [visible(each) for each in given]
    await pair.sender.send_messages(given)
    assert [visible(each) for each in given] == before
    await pair.sender.send_messages(make(f"generator {make.__name__}") for make in makers)
    await pair.sender.send_messages([])
    batch = await pair.sender.create_message_batch()
    for make in makers:
        asyncdsm.set_consume_checkpoint("other", make.__name__, dict[str, str]().get)
        batch.add_message(make(f"batch {make.__name__}"))
    asyncdsm.set_consume_checkpoint("other", "at the sending", dict[str, str]().get)
    counted = len(captured_streams.produced(pair.queue))
    await pair.sender.send_messages(batch)
    received = await pair.receive(9)
    sent = captured_streams.produced(pair.queue)
    assert (counted, len(sent)) == (6, 9)
    assert [context.hash for context in map(context_of, received) if context] == [made.hash for made in sent]
    parents = {made.hash for made in captured_streams.consumed() if made.tag("type") == "other"}
    assert len({made.parent for made in sent[6:]} & parents) == 3


async def test_batch_counts_when_it_is_sent_and_each_time(pair: Pair, captured_streams: Captured) -> None:
    batch = await pair.sender.create_message_batch()
    batch.add_message(ServiceBusMessage("body"))
    assert captured_streams.checkpoints == []
    for times in (1, 2):
        await pair.sender.send_messages(batch)
        assert len(captured_streams.checkpoints) == times
    assert len(await pair.receive(2)) == 2


async def test_batch_filled_unobserved_counts_and_goes_without_context(pair: Pair, captured_streams: Captured) -> None:
    batch = ServiceBusMessageBatch()
    batch.add_message(ServiceBusMessage("body"))
    await pair.sender.send_messages(batch)
    (message,) = await pair.receive()
    assert context_of(message) is None
    assert captured_streams.counters.to_stats().not_propagated == 1
    assert len(captured_streams.produced(pair.queue)) == 1


async def test_message_without_room_for_a_context_goes_without(pair: Pair, captured_streams: Captured) -> None:
    forwarded: Any = {HEADER.encode(): b"of another message"}
    tight = ServiceBusMessage(b"x" * (LIMIT - 80), application_properties=dict(forwarded))
    await pair.sender.send_messages(tight)
    batch = await pair.sender.create_message_batch(max_size_in_bytes=120)
    batch.add_message(ServiceBusMessage(b"x" * 20, application_properties=dict(forwarded)))
    assert tight.application_properties == forwarded
    with pytest.raises(MessageSizeExceededError):
        batch.add_message(ServiceBusMessage(b"x" * 20))
    await pair.sender.send_messages(batch)
    assert list(map(context_of, await pair.receive(2))) == [None, None]
    stats = captured_streams.counters.to_stats()
    assert (len(captured_streams.produced(pair.queue)), stats.not_propagated, stats.errors) == (2, 2, 0)


async def test_message_that_is_refused_is_not_counted(pair: Pair, captured_streams: Captured, name: Name) -> None:
    odd: Any = 4711
    for message in (odd, [odd], None, ServiceBusMessage(b"x" * LIMIT)):
        with pytest.raises((TypeError, MessageSizeExceededError)):
            await pair.sender.send_messages(message)
    with pytest.raises(ValueError, match="timeout"):
        await pair.sender.send_messages(ServiceBusMessage("body"), timeout=-1)
    with pytest.raises(TypeError, match=r"ServiceBusSender.send_messages\(\) missing 1 required .*: 'message'"):
        await pair.sender.send_messages()
    with pytest.raises(TypeError, match=r"ServiceBusSender.schedule_messages\(\) missing 2 required .* 'messages' and"):
        await pair.sender.schedule_messages()
    batch: Any = await pair.sender.create_message_batch()
    with pytest.raises(TypeError, match=r"^ServiceBusMessageBatch.add_message\(\) missing 1 required .*: 'message'"):
        batch.add_message()

    def broken() -> Any:
        yield ServiceBusMessage("body")
        raise LookupError("the caller's own")

    with pytest.raises(LookupError, match="own"):
        await pair.sender.send_messages(broken())
    assert captured_streams.checkpoints == []


async def test_scheduled_messages_count_and_arrive_later(pair: Pair, captured_streams: Captured) -> None:
    when = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    one, other = ServiceBusMessage("one"), ServiceBusMessage("other")
    numbers = await pair.sender.schedule_messages(one, when)
    numbers += await pair.sender.schedule_messages(messages=[other, {"body": "third"}], schedule_time_utc=when)
    assert len(numbers) == 3
    assert (one.scheduled_enqueue_time_utc, other.scheduled_enqueue_time_utc) == (when, when)
    assert one.application_properties is None
    await pair.sender.cancel_scheduled_messages(numbers[-1])
    received = await pair.receive(2)
    sent = captured_streams.produced(pair.queue)
    assert len(sent) == 3
    assert [context.hash for context in map(context_of, received) if context] == [made.hash for made in sent[:2]]


async def test_received_message_that_is_sent_on_continues_its_pathway(
    client: ServiceBusClient, captured_streams: Captured, pair: Pair, links: Links, name: Name
) -> None:
    further = await links.open_pair(client, name())
    await pair.sender.send_messages(ServiceBusMessage("body", application_properties={"a": "b"}))
    (message,) = await pair.receiver.receive_messages()
    await further.sender.send_messages(message)
    await pair.receiver.complete_message(message)
    (again,) = await further.receive()
    last = captured_streams.produced(further.queue)[0]
    assert last.follows(captured_streams.consumed(pair.queue)[0])
    assert set(again.application_properties or ()) == {b"a", HEADER.encode()}
    assert getattr(context_of(again), "hash", None) == last.hash


async def test_topic_gets_messages_by_its_name(
    client: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    topic = name()
    receivers = [client.get_subscription_receiver(topic, each) for each in ("billing", "shipping")]
    *_, sender = await links.open(*receivers, client.get_topic_sender(topic))
    await sender.send_messages(ServiceBusMessage("body"))
    for receiver in receivers:
        (message,) = await receiver.receive_messages(max_wait_time=5)
        await receiver.complete_message(message)
    (sent,) = captured_streams.produced(topic)
    read = captured_streams.consumed(topic)
    assert [made.tags for made in read] == [
        ("direction:in", f"group:{group}", f"topic:{topic}", "type:servicebus") for group in ("billing", "shipping")
    ]
    assert all(made.follows(sent) for made in read)
