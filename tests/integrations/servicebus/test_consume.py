"""azure-servicebus: what is received counts once, under its topic and group, however the program gets it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.servicebus.clients import Links, Name, Pair, deliveries


def current() -> int:
    pathway = asyncdsm.current_pathway()
    assert pathway is not None
    return pathway.hash


async def test_each_way_to_receive_counts_and_makes_current(pair: Pair, captured_streams: Captured) -> None:
    await pair.sender.send_messages([ServiceBusMessage(str(number)) for number in range(6)])
    hashes, messages = list[int](), list[ServiceBusReceivedMessage]()
    messages += await pair.receiver.receive_messages()
    hashes.append(current())
    for message in await pair.receiver.receive_messages(2, max_wait_time=5):
        hashes.append(current())
        messages.append(message)
    async for message in pair.receiver:
        hashes.append(current())
        messages.append(message)
        if len(messages) == 5:
            break
    messages.append(await anext(pair.receiver))
    hashes.append(current())
    assert [str(each) for each in messages] == ["0", "1", "2", "3", "4", "5"]
    assert [made.hash for made in captured_streams.consumed(pair.queue)] == hashes
    assert {made.tags for made in captured_streams.consumed()} == {
        ("direction:in", f"topic:{pair.queue}", "type:servicebus")
    }
    assert await pair.receiver.receive_messages(max_wait_time=0.1) == []
    assert asyncdsm.current_pathway() is None
    await asyncio.gather(*map(pair.receiver.complete_message, messages))


async def test_end_of_an_iterator_leaves_nothing_current(
    client: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    pair = await links.open_pair(client, name(), max_wait_time=0.2)
    await pair.sender.send_messages(ServiceBusMessage("body"))
    async for message in pair.receiver:
        assert current()
        await pair.receiver.complete_message(message)
    assert asyncdsm.current_pathway() is None
    assert len(captured_streams.consumed()) == 1


async def test_peeked_message_is_not_consumed_and_has_its_pathway(pair: Pair, captured_streams: Captured) -> None:
    await pair.sender.send_messages(ServiceBusMessage("body"))
    (message,) = await pair.receiver.peek_messages()
    with asyncdsm.using(message) as pathway:
        assert pathway is not None
        assert pathway.hash == captured_streams.produced()[0].hash
    assert captured_streams.consumed() == []
    assert len(await pair.receive()) == 1


async def test_redelivered_deferred_and_dead_letters_are_told_from_others(
    client: ServiceBusClient, pair: Pair, captured_streams: Captured, links: Links
) -> None:
    await pair.sender.send_messages([ServiceBusMessage(str(number)) for number in range(3)])
    given_back, deferred, dead = await pair.receiver.receive_messages(3, max_wait_time=5)
    assert deliveries(captured_streams) == {}
    await pair.receiver.abandon_message(given_back)
    await pair.receiver.defer_message(deferred)
    await pair.receiver.dead_letter_message(dead, reason="odd")
    (again,) = await pair.receive()
    assert again.delivery_count == 1
    assert deliveries(captured_streams) == {pair.queue: (1, 0)}
    (later,) = await pair.receiver.receive_deferred_messages(deferred.sequence_number)
    assert asyncdsm.current_pathway() is not None
    await pair.receiver.complete_message(later)
    assert deliveries(captured_streams) == {pair.queue: (1, 0)}
    (receiver,) = await links.open(client.get_queue_receiver(pair.queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER))
    async for message in receiver:
        assert message.dead_letter_reason == "odd"
        await receiver.complete_message(message)
        break
    dead_letters = f"{pair.queue}/$DeadLetterQueue"
    assert deliveries(captured_streams) == {dead_letters: (0, 1)}
    (made,) = captured_streams.consumed(dead_letters)
    assert made.follows(captured_streams.produced()[2])
    assert len(captured_streams.consumed(pair.queue)) == 5


async def test_lock_that_ends_is_a_redelivery_and_receive_and_delete_has_no_lock(
    client: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    queue = f"brief{name()}"
    pair = await links.open_pair(client, queue)
    await pair.sender.send_messages([ServiceBusMessage("kept"), ServiceBusMessage("deleted")])
    (first,) = await pair.receiver.receive_messages()
    (second,) = await pair.receiver.receive_messages(max_wait_time=5)
    await pair.receiver.complete_message(second)
    (again,) = await pair.receiver.receive_messages(max_wait_time=5)
    assert (str(first), str(again), again.delivery_count) == ("kept", "kept", 1)
    await pair.receiver.complete_message(again)
    assert deliveries(captured_streams) == {queue: (1, 0)}
    await pair.sender.send_messages(ServiceBusMessage("deleted"))
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    (receiver,) = await links.open(client.get_queue_receiver(queue, receive_mode=mode))
    (message,) = await receiver.receive_messages(max_wait_time=5)
    assert str(message) == "deleted"
    await asyncio.sleep(0.6)
    assert await receiver.receive_messages(max_wait_time=0.2) == []
    assert len(captured_streams.consumed(queue)) == 4


async def test_dead_letters_of_a_subscription_have_their_own_topic(
    client: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    topic = name()
    receiver, dead_letters, sender = await links.open(
        client.get_subscription_receiver(topic, "billing"),
        client.get_subscription_receiver(topic, "billing", sub_queue="deadletter"),
        client.get_topic_sender(topic),
    )
    await sender.send_messages(ServiceBusMessage("body"))
    (message,) = await receiver.receive_messages()
    await receiver.dead_letter_message(message)
    (message,) = await dead_letters.receive_messages()
    await dead_letters.complete_message(message)
    tags = captured_streams.consumed()[-1].tags
    assert tags == ("direction:in", "group:billing", f"topic:{topic}/$DeadLetterQueue", "type:servicebus")


async def test_sessions_are_followed(
    client: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    queue = name()
    sender, known = await links.open(client.get_queue_sender(queue), client.get_queue_receiver(queue, session_id="a"))
    await sender.send_messages([ServiceBusMessage(each, session_id=each) for each in ("a", "b", "a")])
    (following,) = await links.open(
        client.get_queue_receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=2)
    )
    assert following.session.session_id == "b"
    await known.session.set_state("half")
    assert await known.session.get_state() == b"half"
    of_a = [message.session_id for message in await known.receive_messages(2)]
    of_b = [message.session_id for message in await following.receive_messages(2, max_wait_time=1)]
    assert (of_a, of_b) == (["a", "a"], ["b"])
    assert [made.parent for made in captured_streams.consumed(queue)] == [
        captured_streams.produced(queue)[number].hash for number in (0, 2, 1)
    ]


async def test_cancelled_receive_loses_no_message(pair: Pair, captured_streams: Captured) -> None:
    waiting = asyncio.create_task(pair.receiver.receive_messages(max_wait_time=30))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert captured_streams.consumed() == []
    await pair.sender.send_messages(ServiceBusMessage("body"))
    assert len(await pair.receive()) == 1
    assert len(captured_streams.consumed()) == 1


async def test_broker_time_begins_the_pathway_of_a_message_without_context(
    client: ServiceBusClient, bare: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    queue, before = name(), datetime.now(UTC)
    sender, receiver = await links.open(bare.get_queue_sender(queue), client.get_queue_receiver(queue))
    await sender.send_messages(ServiceBusMessage("body"))
    await asyncio.sleep(0.3)
    (message,) = await receiver.receive_messages()
    (made,) = captured_streams.consumed(queue)
    pathway = asyncdsm.current_pathway()
    assert pathway is not None
    assert made.parent == 0
    enqueued = message.enqueued_time_utc.timestamp() + 1e-6  # for rounding
    assert before.timestamp() - 0.01 <= pathway.pathway_start_ns / 1e9 <= enqueued
    assert made.edge_latency >= 0.29
