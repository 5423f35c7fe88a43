"""aiomqtt: what is received counts once, under its topic and group, in the task that gets it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiomqtt import Client, Message, ProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.mosquitto import Mosquitto
from tests.integrations.aiomqtt.clients import Name, make_client, take


def groups(captured: Captured) -> list[str | None]:
    return [made.tag("group") for made in captured.consumed()]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_message_is_current_until_the_next_one_is_asked_for(
    client: Client, captured_streams: Captured, name: Name, qos: int
) -> None:
    await client.subscribe(topic := name(), qos=2)
    for body in (b"1", b"2"):
        await client.publish(topic, body, qos)
    seen = list[Any]()
    async for _ in client.messages:
        seen.append(asyncdsm.current_pathway())
        if len(seen) == 2:
            break
    sent, read = captured_streams.produced(), captured_streams.consumed()
    assert [made.hash for made in read] == [pathway.hash for pathway in seen]
    assert [made.parent for made in read] == [made.hash for made in sent]
    assert [made.size for made in read] == [made.size for made in sent]


async def test_ids_in_topics_are_replaced_at_both_ends(client: Client, captured_streams: Captured, name: Name) -> None:
    root = name()
    await client.subscribe(f"{root}/#")
    await client.publish(f"{root}/4711/created", b"body")
    await take(client)
    assert {made.topic for made in captured_streams.checkpoints} == {f"{root}/+/created"}


async def test_every_kind_of_subscription_is_followed(client: Client, captured_streams: Captured, name: Name) -> None:
    topics = [name() for _ in range(5)]
    await client.subscribe(topics[0], 1)
    await client.subscribe(topic=topics[1])
    await client.subscribe((topics[2], SubscribeOptions(qos=1)))
    await client.subscribe([(topics[3], SubscribeOptions()), (f"{topics[4]}/+", SubscribeOptions(qos=2))])
    for topic in (*topics[:4], f"{topics[4]}/x"):
        await client.publish(topic, b"body")
    await take(client, 5)
    assert {made.topic for made in captured_streams.consumed()} == {*topics[:4], f"{topics[4]}/x"}


@pytest.mark.parametrize("protocol", [ProtocolVersion.V311, ProtocolVersion.V5])
async def test_group_of_a_shared_subscription_is_known(
    mosquitto: Mosquitto, captured_streams: Captured, name: Name, protocol: ProtocolVersion
) -> None:
    topic = name()
    async with (
        asyncdsm.wrap(make_client(mosquitto, protocol)) as one,
        asyncdsm.wrap(make_client(mosquitto, protocol)) as other,
    ):
        for member in (one, other):
            await member.subscribe(f"$share/billing/{topic}/#")
        for number in range(20):
            await one.publish(f"{topic}/{number}", b"body")
        shares = [0, 0]

        async def read(which: int, member: Client) -> None:
            async for _ in member.messages:
                shares[which] += 1

        readers = [asyncio.create_task(read(which, member)) for which, member in enumerate((one, other))]
        async with asyncio.timeout(10):
            while sum(shares) < 20:
                await asyncio.sleep(0.01)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    assert min(shares) > 0
    assert groups(captured_streams) == ["billing"] * 20


async def test_group_is_unknown_where_another_subscription_matches_too(
    client: Client, captured_streams: Captured, name: Name
) -> None:
    topic = name()
    await client.subscribe(f"$share/billing/{topic}")
    await client.subscribe(f"{topic}/#")
    await client.publish(topic, b"body")
    await take(client, 2)
    await client.unsubscribe(f"{topic}/#")
    await client.publish(topic, b"body")
    await take(client)
    assert groups(captured_streams) == [None, None, "billing"]


async def test_retained_message_begins_a_pathway_for_a_later_subscriber(
    mosquitto: Mosquitto, client: Client, captured_streams: Captured, name: Name
) -> None:
    """It may be a year old: that is no time in a queue."""
    await client.subscribe(topic := name(), qos=1)
    await client.publish(topic, b"state", qos=1, retain=True)
    (live,) = await take(client)
    assert not live.retain
    async with asyncdsm.wrap(make_client(mosquitto)) as later:
        await later.subscribe(topic)
        (kept,) = await take(later)
        assert kept.retain
    await client.publish(topic, b"", qos=1, retain=True)  # removes it
    (sent, _), (read, read_later) = captured_streams.produced(), captured_streams.consumed()
    assert read.follows(sent)
    assert (read_later.parent, read_later.edge_latency) == (0, 0)


async def test_messages_that_wait_in_the_clients_queue_count_when_they_are_taken(
    mosquitto: Mosquitto, captured_streams: Captured, name: Name
) -> None:
    topic = name()

    class Newest(asyncio.LifoQueue[Message]):
        pass

    async with asyncdsm.wrap(make_client(mosquitto, queue_type=Newest, max_queued_incoming_messages=3)) as client:
        await client.subscribe(topic, qos=1)
        for number in range(5):
            await client.publish(topic, b"%d" % number, qos=1)
        async with asyncio.timeout(5):
            while len(client.messages) < 3:
                await asyncio.sleep(0.01)
        assert captured_streams.consumed() == []
        assert [message.payload for message in await take(client, 3)] == [b"2", b"1", b"0"]
    assert len(captured_streams.consumed()) == 3  # the client has discarded the other two


async def test_wait_that_is_cancelled_counts_nothing(client: Client, captured_streams: Captured, name: Name) -> None:
    await client.subscribe(topic := name())
    waiting = asyncio.create_task(anext(client.messages))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await client.publish(topic, b"body")
    (message,) = await take(client)
    assert message.payload == b"body"
    assert len(captured_streams.consumed()) == 1
