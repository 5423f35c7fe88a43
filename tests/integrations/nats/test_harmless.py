"""nats-py: an error of asyncdsm does not reach the program, and the client's methods look as they did."""

from __future__ import annotations

import inspect
from typing import Any

import asyncdsm_nats.consume
import asyncdsm_nats.produce
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.nats import NatsServer
from tests.integrations.nats.clients import Name, flush


async def test_error_in_a_hook_does_not_reach_the_program(
    server: NatsServer, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    subject, stored = name(), name()
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        monkeypatch.setattr(asyncdsm_nats.produce, "begin_produce", broken)
        monkeypatch.setattr(asyncdsm_nats.consume, "consume", broken)
        client = asyncdsm.wrap(await nats.connect(server.url))
        js = client.jetstream()
        subscription = await client.subscribe(subject)
        await flush(client)
        await client.publish(subject, b"1", headers={"h": "v"})
        message = await subscription.next_msg(timeout=10)
        assert (message.data, message.headers) == (b"1", {"h": "v"})
        await js.add_stream(name=stored, subjects=[stored])
        await js.publish(stored, b"2")
        await (await js.publish_async(stored, b"3"))
        pull = await js.pull_subscribe(stored, durable="worker")
        assert [message.data for message in await pull.fetch(2)] == [b"2", b"3"]
        # A message to JetStream passes two hooks.
        assert (streams.stats.errors, streams.stats.recorded) == (8, 0)
        await client.close()


async def test_hooks_keep_signature_and_docstring(client: Client, js: JetStreamContext, name: Name) -> None:
    await js.add_stream(name=(subject := name()), subjects=[subject])
    pull = await js.pull_subscribe(subject, durable="worker")
    subscription = await client.subscribe(name())
    methods = [
        (client, ["publish", "subscribe", "jetstream"]),
        (js, ["publish", "publish_async", "subscribe_bind", "pull_subscribe_bind"]),
        (pull, ["fetch"]),
        (subscription, ["next_msg"]),
    ]
    for owner, names in methods:
        for method in names:
            hooked, original = getattr(owner, method), getattr(type(owner), method)
            assert inspect.iscoroutinefunction(original) == inspect.iscoroutinefunction(inspect.unwrap(hooked))
            assert hooked.__doc__ == original.__doc__
            assert list(inspect.signature(hooked).parameters) == list(inspect.signature(original).parameters)[1:]


@pytest.mark.parametrize("value", ["", "no context", "AAAA", "é", "x" * 1000])
async def test_malformed_context_begins_a_pathway(
    client: Client, bare: Client, captured_streams: Captured, name: Name, value: str
) -> None:
    subject = name()
    subscription = await client.subscribe(subject)
    await flush(client)
    await bare.publish(subject, b"body", headers={HEADER: value})
    message = await subscription.next_msg(timeout=10)
    assert message.data == b"body"
    (made,) = captured_streams.consumed()
    assert made.parent == 0


@pytest.mark.parametrize("reply", ["$JS.ACK.a.b.c", "$JS.ACK.s.c.1.2.3.no-time.5", "$JS.ACK." + "." * 12])
async def test_reply_that_is_no_metadata_is_ignored(
    client: Client, captured_streams: Captured, name: Name, reply: str
) -> None:
    """A peer may send anything as a reply. The client refuses it only when the program acknowledges."""
    subject = name()
    await client.subscribe(subject)
    (subscription,) = client._subs.values()
    message = Msg(client, subject, reply, b"body", None, _sid=1)
    subscription._pending_queue.put_nowait(message)
    assert await subscription.next_msg() is message
    assert [made.parent for made in captured_streams.consumed()] == [0]


async def test_arguments_that_a_later_release_adds_reach_the_client(
    server: NatsServer, captured_streams: Captured, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = list[Any]()

    def with_later(original: Any) -> Any:
        async def call(*args: Any, later: Any = None, **kwargs: Any) -> Any:
            got.append(later)
            return await original(*args, **kwargs)

        return call

    for cls, method in ((Client, "publish"), (Client, "subscribe"), (JetStreamContext, "publish")):
        monkeypatch.setattr(cls, method, with_later(getattr(cls, method)))
    client: Any = asyncdsm.wrap(await nats.connect(server.url))
    subject, js = name(), client.jetstream()
    await js.add_stream(name=subject, subjects=[subject])
    got.clear()
    await client.subscribe(subject, later=1)
    await client.publish(subject, b"body", later=2)
    await js.publish(subject, b"body", later=3)
    assert [each for each in got if each] == [1, 2, 3]
    assert len(captured_streams.produced(subject)) == 2
    await client.close()
