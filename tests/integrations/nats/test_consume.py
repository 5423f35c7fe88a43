"""nats-py: what is consumed counts once, under its topic and group, however the program gets it."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.nats import NatsServer
from tests.integrations.nats.clients import Name, flush


class Seen:
    """The pathways that were current in a callback."""

    def __init__(self) -> None:
        self.pathways = asyncio.Queue[Pathway | None]()

    async def callback(self, _: Msg) -> None:
        await self.pathways.put(asyncdsm.current_pathway())

    async def next(self) -> Pathway:
        async with asyncio.timeout(10):
            pathway = await self.pathways.get()
        assert pathway is not None
        return pathway


async def test_core_and_jetstream_are_followed_on_every_server(
    any_server: NatsServer, captured_streams: Captured, name: Name
) -> None:
    """By a callback, `next_msg`, an iterator, a push and a pull consumer."""
    client, subject, stored, seen = asyncdsm.wrap(await nats.connect(any_server.url)), name(), name(), Seen()
    js = client.jetstream()
    await js.add_stream(name=stored, subjects=[stored])
    called = await client.subscribe(subject, "callbacks", seen.callback)
    asked, iterated = await client.subscribe(subject, "asking"), await client.subscribe(subject)
    await flush(client)
    await client.publish(subject, b"body")
    pathways = [await seen.next()]
    for subscription in (called, asked, iterated):
        assert subscription.subject == subject
    await asked.next_msg(timeout=10)
    pathways.append(current())
    async for _ in iterated.messages:
        pathways.append(current())
        break
    await js.publish(stored, b"body")
    await js.subscribe(stored, durable="pushed", cb=seen.callback)
    pathways.append(await seen.next())
    push = await js.subscribe(stored, queue="shared")
    await push.next_msg(timeout=10)
    pathways.append(current())
    pull = await js.pull_subscribe(stored, durable="pulled")
    (message,) = await pull.fetch()
    pathways.append(current())
    await message.ack_sync()
    sent, kept = captured_streams.produced()
    read = captured_streams.consumed()
    await client.close()
    assert [made.hash for made in read] == [pathway.hash for pathway in pathways]
    assert [made.parent for made in read] == [*[sent.hash] * 3, *[kept.hash] * 3]
    groups = [next((tag for tag in made.tags if tag.startswith("group:")), None) for made in read]
    assert groups == ["group:callbacks", "group:asking", None, "group:pushed", "group:shared", "group:pulled"]
    assert {made.topic for made in read} == {subject, stored}


def current() -> Pathway:
    pathway = asyncdsm.current_pathway()
    assert pathway is not None
    return pathway


async def test_consumers_with_random_names_have_no_group(
    js: JetStreamContext, captured_streams: Captured, name: Name
) -> None:
    subject = name()
    await js.add_stream(name=subject, subjects=[subject])
    await js.publish(subject, b"body")
    push, pull = await js.subscribe(subject), await js.pull_subscribe(subject)
    await push.next_msg(timeout=10)
    await pull.fetch()
    assert [made.tags for made in captured_streams.consumed()] == [
        ("direction:in", f"topic:{subject}", "type:nats")
    ] * 2


async def test_ordered_consumer_and_consumers_that_exist_are_followed(
    js: JetStreamContext, captured_streams: Captured, name: Name
) -> None:
    subject, seen = name(), Seen()
    await js.add_stream(name=subject, subjects=[subject])
    await js.publish(subject, b"body")
    await js.subscribe(subject, ordered_consumer=True, cb=seen.callback)
    await seen.next()
    await js.add_consumer(subject, ConsumerConfig(durable_name="there", ack_policy=AckPolicy.EXPLICIT))
    bound = await js.pull_subscribe_bind("there", stream=subject)
    await bound.fetch()
    again = await js.pull_subscribe(subject, durable="there")
    with pytest.raises(NatsTimeout):
        await again.fetch(timeout=0.1)
    assert [made.parent for made in captured_streams.consumed()] == [captured_streams.produced()[0].hash] * 2


async def test_consumer_with_a_delivery_subject_is_named_by_each_message(
    client: Client, js: JetStreamContext, captured_streams: Captured, name: Name
) -> None:
    """A plain subscription to where a push consumer delivers: the messages have the subject under which they came."""
    subject, delivery, seen = name(), name(), Seen()
    await js.add_stream(name=subject, subjects=[subject])
    await client.subscribe(delivery, cb=seen.callback)
    await js.add_consumer(subject, ConsumerConfig(durable_name="billing", deliver_subject=delivery))
    await js.publish(subject, b"body")
    await seen.next()
    (made,) = captured_streams.consumed()
    assert made.tags == ("direction:in", "group:billing", f"topic:{subject}", "type:nats")


async def test_batch_makes_each_message_current_in_turn(
    js: JetStreamContext, captured_streams: Captured, name: Name
) -> None:
    subject = name()
    await js.add_stream(name=subject, subjects=[f"{subject}.*"])
    for part in "abc":
        await js.publish(f"{subject}.{part}", part.encode())
    pull = await js.pull_subscribe(f"{subject}.*", durable="worker")
    messages = await pull.fetch(10, timeout=1)
    assert isinstance(messages, list)
    assert asyncdsm.current_pathway() is None
    turns = [(message.data, current().hash) for message in messages]
    assert asyncdsm.current_pathway() is None
    assert turns == [(part.encode(), captured_streams.consumed(f"{subject}.{part}")[0].hash) for part in "abc"]
    for message in messages:
        await message.ack()


async def test_message_without_context_begins_when_the_server_stored_it(
    js: JetStreamContext, bare: Client, captured_streams: Captured, name: Name
) -> None:
    subject = name()
    await js.add_stream(name=subject, subjects=[subject])
    await bare.jetstream().publish(subject, b"body")
    await asyncio.sleep(0.2)
    pull = await js.pull_subscribe(subject, durable="worker")
    (message,) = await pull.fetch()
    (made,) = captured_streams.consumed()
    stored = message.metadata.timestamp.timestamp()
    assert made.parent == 0
    assert made.pathway_latency == pytest.approx(made.time_ns / 1e9 - stored, abs=1e-3)
    assert made.pathway_latency > 0.19


async def test_redelivered_message_counts_again(js: JetStreamContext, captured_streams: Captured, name: Name) -> None:
    subject = name()
    await js.add_stream(name=subject, subjects=[subject])
    await js.publish(subject, b"body")
    pull = await js.pull_subscribe(subject, durable="worker")
    (message,) = await pull.fetch()
    await message.nak()
    (again,) = await pull.fetch()
    assert again.metadata.num_delivered == 2
    assert len(captured_streams.consumed()) == 2
    (facts,) = [facts for batch in captured_streams.facts.take(None) for facts in batch.edges.values()]
    assert facts.redelivered == 1


async def test_wildcard_subscription_counts_no_replies_and_nothing_of_the_server(
    client: Client, js: JetStreamContext, captured_streams: Captured, name: Name
) -> None:
    subject, seen = name(), list[str]()

    async def watch(message: Msg) -> None:
        seen.append(message.subject)
        assert (asyncdsm.current_pathway() is None) == (message.subject != subject)

    await client.subscribe(">", cb=watch)
    await js.add_stream(name=subject, subjects=[subject])
    await js.publish(subject, b"body")
    await flush(client)
    assert [made.topic for made in captured_streams.consumed()] == [subject]
    assert any(each.startswith("$JS.API.") for each in seen)
    assert any(each.startswith("_INBOX.") for each in seen)


async def test_lag_is_what_the_server_says(js: JetStreamContext, captured_streams: Captured, name: Name) -> None:
    subject = name()
    await js.add_stream(name=subject, subjects=[subject])
    for _ in range(5):
        await js.publish(subject, b"body")
    pull = await js.pull_subscribe(subject, durable="worker")
    for left in (4, 3):
        (message,) = await pull.fetch()
        (lag,) = [lag for lag in current_lags() if lag.topic == subject]
        assert (lag.group, lag.partition, lag.behind, lag.unit) == ("worker", None, left, "messages")
        assert (await pull.consumer_info()).num_pending == left
        await message.ack()
    await js._nc.close()
    assert [lag for lag in current_lags() if lag.topic == subject] == []


async def test_callback_that_the_client_refuses_is_refused(client: Client, name: Name) -> None:
    wrong: Any = lambda _: None  # noqa: E731
    with pytest.raises(NatsError, match="must use coroutine"):
        await client.subscribe(name(), cb=wrong)


async def test_using_finds_the_pathway_of_a_message(
    client: Client, bare: Client, captured_streams: Captured, name: Name
) -> None:
    """Also of one that was consumed by a connection that is not followed: by its header."""
    subject = name()
    mine, other = await client.subscribe(subject), await bare.subscribe(subject)
    await flush(client)
    await flush(bare)
    await client.publish(subject, b"body")
    message, unseen = await mine.next_msg(timeout=10), await other.next_msg(timeout=10)
    with asyncdsm.using(message) as pathway:
        assert pathway is not None
        assert pathway.hash == captured_streams.consumed()[0].hash
    with asyncdsm.using(unseen) as pathway:
        assert pathway is not None
        assert pathway.hash == captured_streams.produced()[0].hash


async def test_task_that_is_cancelled_before_it_starts_asks_for_nothing(
    client: Client, js: JetStreamContext, name: Name
) -> None:
    """A coroutine that is made and never awaited would be a warning, which is an error in these tests."""
    subject, stream = name(), name()
    subscription = await client.subscribe(subject)
    await js.add_stream(name=stream, subjects=[stream])
    pulled = await js.pull_subscribe(stream)
    for asked in (subscription.next_msg(), subscription.messages.__aiter__().__anext__(), pulled.fetch()):
        task = asyncio.ensure_future(asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gc.collect()
    await client.publish(subject, b"")
    assert (await subscription.next_msg(timeout=10)).subject == subject
