"""Google Pub/Sub: an error of asyncdsm does not reach the program, and the client's methods look as they did."""

from __future__ import annotations

import asyncio
import inspect
from queue import Queue
from typing import Any

import asyncdsm_pubsub.consume
import asyncdsm_pubsub.messages
import asyncdsm_pubsub.produce
import pytest
from google.cloud.pubsub_v1.publisher.client import Client as Publisher
from google.cloud.pubsub_v1.subscriber.client import Client as Subscriber
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.pubsub import PubSubServer
from tests.integrations.pubsub.clients import (
    Names,
    make_async_publisher,
    make_async_subscriber,
    publishing,
    streaming,
    subscribing,
)


async def use(server: PubSubServer, topic: str, subscription: str) -> list[tuple[bytes, dict[str, str]]]:
    """Publish a message in each way, and receive two by a pull and two by a stream. Return them all."""
    received = list[tuple[bytes, dict[str, str]]]()

    def note(message: Any) -> None:
        received.append((message.data, dict(message.attributes)))

    def publish_and_stream(then: list[bytes]) -> None:
        with publishing(server.address) as publisher, subscribing(server.address) as subscriber:
            asyncdsm.wrap(publisher)
            for body in then:
                publisher.publish(topic, body, a="b").result(10)
            seen = Queue[Any]()
            if then == [b"3", b"4"]:
                with streaming(asyncdsm.wrap(subscriber), subscription, seen.put):
                    for message in (seen.get(timeout=10), seen.get(timeout=10)):
                        note(message)
                        message.ack()

    publisher, subscriber = make_async_publisher(server.address), make_async_subscriber(server.address)
    asyncdsm.wrap(publisher)
    asyncdsm.wrap(subscriber)
    await asyncio.to_thread(publish_and_stream, [b"1"])
    messages: Any = [{"data": b"2", "attributes": {"a": "b"}}]
    await publisher.publish(topic=topic, messages=messages)
    response: Any = await subscriber.pull(subscription=subscription, max_messages=2)
    for each in response.received_messages:
        note(each.message)
    await subscriber.acknowledge(
        subscription=subscription, ack_ids=[each.ack_id for each in response.received_messages]
    )
    await asyncio.to_thread(publish_and_stream, [b"3", b"4"])
    await publisher.transport.close()
    await subscriber.transport.close()
    return received


ALL = [(body, {"a": "b"}) for body in (b"1", b"2", b"3", b"4")]


async def test_error_in_a_hook_does_not_reach_the_program(
    pubsub: PubSubServer, bare: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    topic, subscription = await asyncio.to_thread(bare.make)
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        monkeypatch.setattr(asyncdsm_pubsub.produce, "begin_produce", broken)
        monkeypatch.setattr(asyncdsm_pubsub.messages, "consume", broken)
        assert sorted(await use(pubsub, topic, subscription)) == ALL
        assert (streams.stats.errors, streams.stats.recorded) == (8, 0)


async def test_nothing_is_touched_where_measuring_is_turned_off(pubsub: PubSubServer, bare: Names) -> None:
    topic, subscription = await asyncio.to_thread(bare.make)
    async with DataStreams(Settings(service="s", enabled=False)) as streams:
        assert sorted(await use(pubsub, topic, subscription)) == ALL
        assert asyncdsm.current_pathway() is None
    assert streams.stats.recorded == 0


async def test_hooks_keep_signature_and_docstring(
    publisher: Any, subscriber: Any, async_publisher: PublisherAsyncClient, async_subscriber: SubscriberAsyncClient
) -> None:
    for owner, names in (
        (publisher, ["publish"]),
        (subscriber, ["subscribe", "pull"]),
        (async_publisher, ["publish"]),
        (async_subscriber, ["pull"]),
    ):
        for name in names:
            hooked, original = getattr(owner, name), getattr(type(owner), name)
            assert inspect.iscoroutinefunction(original) == inspect.iscoroutinefunction(inspect.unwrap(hooked))
            assert hooked.__doc__ == original.__doc__
            assert list(inspect.signature(hooked).parameters) == list(inspect.signature(original).parameters)[1:]


@pytest.mark.parametrize("value", ["", "no context", "AAAA", "é", "x" * 1000])
def test_malformed_context_begins_a_pathway(
    subscriber: Any, bare: Names, captured_streams: Captured, value: str
) -> None:
    topic, subscription = bare.make()
    bare.send(topic, b"body", **{HEADER: value})
    (received,) = subscriber.pull(subscription=subscription, max_messages=1).received_messages
    assert (received.message.data, received.message.attributes[HEADER]) == (b"body", value)
    (made,) = captured_streams.consumed()
    assert made.parent == 0


def test_attributes_with_defaults_are_not_made_by_looking_at_them(
    subscriber: Any, bare: Names, captured_streams: Captured
) -> None:
    """Protobuf's map makes an entry of each key that is asked for by index."""
    topic, subscription = bare.make()
    bare.send(topic, b"1", b"2")
    for received in subscriber.pull(subscription=subscription, max_messages=2).received_messages:
        assert dict(received.message.attributes) == {}
    assert len(captured_streams.consumed()) == 2


async def test_arguments_that_a_later_release_adds_reach_the_client(
    pubsub: PubSubServer, bare: Names, captured_streams: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = list[Any]()

    def with_later(original: Any) -> Any:
        def call(*args: Any, later: Any = None, **kwargs: Any) -> Any:
            got.append(later)
            return original(*args, **kwargs)

        return call

    def call_synchronous(topic: str, subscription: str) -> None:
        with publishing(pubsub.address) as publisher, subscribing(pubsub.address) as subscriber:
            asyncdsm.wrap(subscriber).subscribe(subscription, print, later=1).cancel()
            asyncdsm.wrap(publisher).publish(topic, b"body", later=2).result(10)
            subscriber.pull(subscription=subscription, max_messages=1, later=3)

    for cls, name in ((Publisher, "publish"), (Subscriber, "subscribe"), (Subscriber, "pull")):
        monkeypatch.setattr(cls, name, with_later(getattr(cls, name)))
    for cls, name in ((PublisherAsyncClient, "publish"), (SubscriberAsyncClient, "pull")):
        monkeypatch.setattr(cls, name, with_later(getattr(cls, name)))
    topic, subscription = await asyncio.to_thread(bare.make)
    await asyncio.to_thread(call_synchronous, topic, subscription)
    publisher, subscriber = make_async_publisher(pubsub.address), make_async_subscriber(pubsub.address)
    publish: Any = asyncdsm.wrap(publisher).publish
    pull: Any = asyncdsm.wrap(subscriber).pull
    await publish(topic=topic, messages=[{"data": b"body"}], later=4)
    await pull(subscription=subscription, max_messages=1, later=5)
    assert [each for each in got if each] == [1, 2, 3, 4, 5]
    assert len(captured_streams.produced(topic)) == 2
    await publisher.transport.close()
    await subscriber.transport.close()


@pytest.mark.parametrize("enabled", [True, False], ids=["measuring", "turned off"])
@pytest.mark.parametrize("way", ["wrap", "instrument", "both"])
def test_attributes_may_have_any_name(pubsub: PubSubServer, bare: Names, way: str, enabled: bool) -> None:
    """Each keyword that is no parameter of `publish` is an attribute of the message."""
    attributes = dict.fromkeys(("args", "client", "kwargs", "observe", "original", "owner", "result", "_owner"), "a")
    topic, subscription = bare.make()
    with publishing(pubsub.address) as publisher, DataStreams(Settings(service="s", enabled=enabled)):
        if way != "instrument":
            asyncdsm.wrap(publisher)
        if way != "wrap":
            asyncdsm.instrument("google.cloud.pubsub_v1")
        try:
            publisher.publish(topic, b"body", **attributes).result(10)
        finally:
            asyncdsm.uninstrument("google.cloud.pubsub_v1")
    (message,) = bare.read(subscription)
    assert (HEADER in message.attributes) == enabled
    assert {name: value for name, value in message.attributes.items() if name != HEADER} == attributes


def test_error_of_a_callback_is_the_program_s(subscriber: Any, bare: Names, captured_streams: Captured) -> None:
    topic, subscription = bare.make()
    bare.send(topic, b"body")
    with pytest.raises(ZeroDivisionError), streaming(subscriber, subscription, lambda _: 1 / 0) as future:
        future.result(timeout=10)
    assert len(captured_streams.consumed()) == 1
