"""aiomqtt: what is published counts once, and carries its context in a copy of the caller's properties."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from aiomqtt import Client, MqttError, ProtocolVersion, Will

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.mosquitto import Mosquitto, run_mosquitto
from tests.integrations.aiomqtt.clients import Name, context_of, make_client, make_properties, take, user_properties

PAYLOADS: list[Any] = [b"body", bytearray(b"body"), "größe", 17, 1.5, None]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_publish_counts_once_with_its_size(
    client: Client, bare: Client, captured_streams: Captured, name: Name, qos: int
) -> None:
    await bare.subscribe(topic := name(), qos=2)
    for payload in PAYLOADS:
        await client.publish(topic, payload, qos)
    messages, sent = await take(bare, len(PAYLOADS)), captured_streams.produced()
    assert {made.tags for made in sent} == {("direction:out", f"topic:{topic}", "type:mqtt")}
    context = len(HEADER) + len(context_of(messages[0]))
    assert [made.size for made in sent] == [len(bytes(message.payload)) + context for message in messages]


async def test_all_arguments_reach_the_broker_and_properties_stay_as_they_were(
    client: Client, bare: Client, captured_streams: Captured, name: Name
) -> None:
    await bare.subscribe(topic := name(), qos=2)
    properties = make_properties(("own", "1"), ("own", "2"))
    properties.ContentType, properties.MessageExpiryInterval = "text/plain", 60
    before = {key: repr(value) for key, value in vars(properties).items()}
    await client.publish(topic, payload=b"1", qos=2, retain=False, properties=properties, timeout=5)
    await client.publish(topic, b"2", 1, False, properties)
    assert {key: repr(value) for key, value in vars(properties).items()} == before
    messages = await take(bare, 2)
    for message in messages:
        assert user_properties(message)[:2] == [("own", "1"), ("own", "2")]
        assert getattr(message.properties, "ContentType", None) == "text/plain"
    assert sorted(message.qos for message in messages) == [1, 2]
    assert len(captured_streams.produced(topic)) == 2


async def test_properties_of_a_received_message_are_sent_on_with_one_context(
    client: Client, bare: Client, captured_streams: Captured, name: Name
) -> None:
    first, second = name(), name()
    await client.subscribe(first)
    await bare.subscribe(second)
    await client.publish(first, b"body", properties=make_properties(("own", "1")))
    (message,) = await take(client)
    await client.publish(second, message.payload, properties=message.properties)
    (sent_on,) = await take(bare)
    assert [key for key, _ in user_properties(sent_on)] == ["own", HEADER]
    assert context_of(sent_on) != context_of(message)
    sent, last = captured_streams.produced()
    assert last.follows(captured_streams.consumed()[0])
    assert captured_streams.consumed()[0].follows(sent)


@pytest.mark.parametrize("protocol", [ProtocolVersion.V31, ProtocolVersion.V311])
async def test_message_before_version_5_counts_and_goes_without_a_context(
    mosquitto: Mosquitto, bare: Client, name: Name, protocol: ProtocolVersion
) -> None:
    await bare.subscribe(topic := name())
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        async with asyncdsm.wrap(make_client(mosquitto, protocol)) as client:
            await client.subscribe(topic)
            await client.publish(topic, b"body")
            assert user_properties((await take(bare))[0]) == []
            (message,) = await take(client)
            assert message.properties is None
            assert asyncdsm.current_pathway() is not None
        assert (streams.stats.recorded, streams.stats.not_propagated, streams.stats.errors) == (2, 1, 0)


async def test_topics_of_the_broker_and_wills_are_left_alone(
    mosquitto: Mosquitto, client: Client, captured_streams: Captured, name: Name
) -> None:
    await client.subscribe("$SYS/broker/version")
    (message,) = await take(client)
    assert str(message.topic) == "$SYS/broker/version"
    assert asyncdsm.current_pathway() is None
    await client.publish("$own/none", b"body")
    assert captured_streams.checkpoints == []
    await client.subscribe(topic := name())
    dying = asyncdsm.wrap(make_client(mosquitto, will=Will(topic, b"gone"), identifier=topic))
    with suppress(MqttError):  # until 2.4, of a connection that the broker has ended
        async with dying, make_client(mosquitto, identifier=topic):  # the broker ends the older of two with one id
            (message,) = await take(client)
    assert (message.payload, user_properties(message)) == (b"gone", [])
    assert [made.parent for made in captured_streams.checkpoints] == [0]


async def test_message_with_a_topic_alias_alone_is_left_alone(
    client: Client, bare: Client, captured_streams: Captured, name: Name
) -> None:
    await bare.subscribe(topic := name())
    properties = make_properties()
    properties.TopicAlias = 1
    await client.publish(topic, b"1", properties=properties)
    forwarded = make_properties(("own", "1"), (HEADER, "of another"))
    forwarded.TopicAlias = 1
    await client.publish("", b"2", properties=forwarded)
    messages = await take(bare, 2)
    assert [message.payload for message in messages] == [b"1", b"2"]
    assert user_properties(messages[1]) == [("own", "1")]
    assert vars(forwarded)["UserProperty"] == [("own", "1"), (HEADER, "of another")]
    assert [made.topic for made in captured_streams.produced()] == [topic]


@pytest.fixture
def narrow() -> Iterator[Mosquitto]:
    """A broker that takes small packets only."""
    with run_mosquitto("max_packet_size 200") as broker:
        yield broker


@pytest.mark.parametrize("pairs", [(), ((HEADER, "of another message"),)], ids=["new", "forwarded"])
async def test_message_that_fits_only_without_a_context_goes_without(
    narrow: Mosquitto, name: Name, pairs: tuple[tuple[str, str], ...]
) -> None:
    """Mosquitto ends the connection when a packet is larger than it said."""
    topic = name()
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        async with asyncdsm.wrap(make_client(narrow)) as client:
            await client.subscribe(topic, qos=1)
            for size in range(60, 180):
                await client.publish(topic, b"x" * size, qos=1, properties=make_properties(*pairs))
            messages = await take(client, 120)
        assert not set(pairs).intersection(pair for message in messages for pair in user_properties(message))
        with_context = [bool(user_properties(message)) for message in messages]
        assert with_context == sorted(with_context, reverse=True)
        assert 40 < with_context.count(True) < 60
        assert streams.stats.recorded == 240
        assert streams.stats.not_propagated == with_context.count(False)


async def test_message_that_is_not_published_does_not_count(
    mosquitto: Mosquitto, captured_streams: Captured, name: Name
) -> None:
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        client = asyncdsm.wrap(make_client(mosquitto))
        with pytest.raises(MqttError):
            await client.publish(name(), b"not connected")
        async with client:
            with pytest.raises(ValueError, match="Invalid QoS"):
                await client.publish(name(), b"body", qos=3)
            publishing = asyncio.create_task(client.publish(name(), b"body", qos=2))
            await asyncio.sleep(0)
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        assert (streams.stats.recorded, streams.stats.errors) == (0, 0)
    assert captured_streams is not None
