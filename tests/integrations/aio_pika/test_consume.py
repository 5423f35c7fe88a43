"""aio-pika on a real RabbitMQ: every way to consume a message."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from functools import partial
from time import time_ns
from typing import Any

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import QueueEmpty

import asyncdsm
from asyncdsm import Pathway, current_pathway
from asyncdsm.core import current
from asyncdsm.integration.registry import pathway_of
from asyncdsm.testing import Captured
from tests.integrations.aio_pika.clients import Name, Seen, hashes, publish


async def test_pathway_is_current_inside_the_callback(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue, seen = await channel.declare_queue(name()), Seen()
    await publish(channel, queue, b"1", b"2", b"3")
    tag = await queue.consume(seen.callback, no_ack=True)
    pathways = await seen.first(3)
    await queue.cancel(tag)
    sent, read = captured_streams.produced(), captured_streams.consumed(queue.name)
    assert [pathway.hash for pathway in pathways if pathway] == hashes(read)
    assert all(later.follows(earlier) for earlier, later in zip(sent, read, strict=True))
    assert current_pathway() is None


async def test_every_kind_of_callback_gets_the_pathway(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    seen = Seen()

    class Called:
        async def __call__(self, message: AbstractIncomingMessage) -> None:
            await seen.callback(message)

    async def bound(_: str, message: AbstractIncomingMessage) -> None:
        await seen.callback(message)

    def plain(message: AbstractIncomingMessage) -> None:
        pathway = current_pathway()
        asyncio.get_running_loop().create_task(seen.take(message.body, pathway))

    callbacks: list[Any] = [seen.callback, Called(), partial(bound, "x")]
    for number, callback in enumerate(callbacks, 1):
        queue = await channel.declare_queue(name())
        await publish(channel, queue)
        await queue.consume(callback, no_ack=True)
        assert (await seen.first(number))[-1] is not None
    queue = await channel.declare_queue(name())
    with pytest.warns(DeprecationWarning, match="non-coroutine"):
        await queue.consume(plain, no_ack=True)  # type: ignore[arg-type]  # works, with a warning of aio-pika's
    await publish(channel, queue)
    with pytest.warns(DeprecationWarning, match="non awaitable"):
        await seen.first(4)
    pathways = [pathway for _, pathway in seen.messages]
    assert [pathway.hash for pathway in pathways if pathway] == hashes(captured_streams.consumed())


async def test_consume_passes_its_options_on(channel: AbstractChannel, captured_streams: Captured, name: Name) -> None:
    exclusive, seen = await channel.declare_queue(name(), arguments={"x-max-priority": 5}), Seen()
    await publish(channel, exclusive, b"low", priority=1)
    await publish(channel, exclusive, b"high", priority=5)
    tag = await exclusive.consume(
        callback=seen.callback, no_ack=True, exclusive=True, consumer_tag="mine", arguments={"x-priority": 7}
    )
    await seen.first(2)
    assert tag == "mine"
    assert [body for body, _ in seen.messages] == [b"high", b"low"]
    low, high = captured_streams.produced()
    assert [made.parent for made in captured_streams.consumed()] == [high.hash, low.hash]


async def test_queue_named_by_the_server_is_not_counted(rabbitmq: Any, captured_streams: Captured) -> None:
    async with asyncdsm.wrap(await aio_pika.connect(rabbitmq.url)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        assert queue.name.startswith("amq.gen-")
        fan = await channel.declare_exchange(f"fan-{queue.name}", "fanout", auto_delete=True)
        await queue.bind(fan)
        with current.restored(Pathway(9, 1, 1)):
            await publish(channel, queue)
            await queue.get(no_ack=True)
            assert asyncdsm.current_pathway() == Pathway(9, 1, 1), "whoever waits for a reply continues after it"
            await fan.publish(Message(b"event"), "")
            message = await queue.get(no_ack=True)
            assert message is not None
            assert asyncdsm.current_pathway() is None
    (sent,) = captured_streams.checkpoints
    assert (sent.tag("exchange"), sent.parent) == (fan.name, 9)
    with asyncdsm.using(message) as pathway:  # it continues without this hop
        assert pathway is not None
        assert pathway.hash == sent.hash


@pytest.mark.parametrize("way", ["get", "iterator", "callback"])
async def test_replies_do_not_lengthen_the_pathway(
    channel: AbstractChannel, captured_streams: Captured, name: Name, way: str
) -> None:
    jobs, replies = await channel.declare_queue(name(), auto_delete=True), await channel.declare_queue(
        name(), exclusive=True
    )  # fmt: skip
    came = asyncio.Queue[Any]()

    async def serve(message: Any) -> None:
        await channel.default_exchange.publish(Message(message.body), message.reply_to)
        await message.ack()

    await jobs.consume(serve)
    if way == "callback":
        await replies.consume(came.put, no_ack=True)
    before = Pathway(9, 1, 1)
    with current.restored(before):
        async with replies.iterator(no_ack=True) if way == "iterator" else nullcontext() as messages:
            for _ in range(20):
                await channel.default_exchange.publish(Message(b"x", reply_to=replies.name), jobs.name)
                if way == "get":
                    while await replies.get(fail=False, no_ack=True) is None:
                        await asyncio.sleep(0.001)
                else:
                    await (came.get() if messages is None else anext(messages))
                assert asyncdsm.current_pathway() == before
    made = captured_streams.checkpoints
    assert len({(point.tags, point.hash) for point in made}) == 3
    assert [len(of) for of in (captured_streams.produced(jobs.name), captured_streams.consumed(jobs.name))] == [20, 20]
    assert captured_streams.consumed(replies.name) == []


@pytest.mark.parametrize("kind", ["quorum", "stream"])
async def test_quorum_and_stream_queues_are_counted(
    channel: AbstractChannel, captured_streams: Captured, name: Name, kind: str
) -> None:
    await channel.set_qos(prefetch_count=10)
    queue = await channel.declare_queue(name(), durable=True, arguments={"x-queue-type": kind})
    await publish(channel, queue, b"1", b"2")
    read = 0
    async with queue.iterator(arguments={"x-stream-offset": "first"} if kind == "stream" else None) as messages:
        async for message in messages:
            await message.ack()
            read += 1
            if read == 2:
                break
    sent = captured_streams.produced()
    assert [made.parent for made in captured_streams.consumed(queue.name)] == hashes(sent)
    await queue.delete(if_unused=False, if_empty=False)


async def test_iterator_counts_only_messages_it_hands_out(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """Messages fetched ahead go back when the iterator is closed, and are delivered again: they count once."""
    await channel.set_qos(prefetch_count=500)
    queue = await channel.declare_queue(name())
    await publish(channel, queue, *[b"%d" % number for number in range(20)])
    current = []
    async with queue.iterator() as messages:
        async for message in messages:
            current.append(current_pathway())
            await message.ack()
            if len(current) == 3:
                break
    assert len(captured_streams.consumed()) == 3
    async with queue.iterator(no_ack=True) as messages:
        async for _ in messages:
            current.append(current_pathway())
            if len(current) == 20:
                break
    read = captured_streams.consumed()
    assert [pathway.hash for pathway in current if pathway] == hashes(read)
    assert sorted(made.parent for made in read) == sorted(hashes(captured_streams.produced()))


async def test_redelivery_is_counted_again(channel: AbstractChannel, captured_streams: Captured, name: Name) -> None:
    queue = await channel.declare_queue(name())
    await publish(channel, queue)
    for requeue in (True, False):
        message = await queue.get()
        assert message is not None
        assert message.redelivered is not requeue
        await message.reject(requeue=requeue)
    (sent,), read = captured_streams.produced(), captured_streams.consumed()
    assert [made.parent for made in read] == [sent.hash, sent.hash]


async def test_get_makes_its_message_current_and_clears_the_last_one(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue = await channel.declare_queue(name())
    await publish(channel, queue)
    message = await queue.get(no_ack=True, timeout=5)
    assert message is not None
    (read,) = captured_streams.consumed()
    pathway = current_pathway()
    assert pathway is not None
    assert pathway.hash == read.hash
    assert await queue.get(fail=False) is None
    assert current_pathway() is None
    with pytest.raises(QueueEmpty):
        await queue.get()
    assert len(captured_streams.consumed()) == 1


async def test_get_under_wait_for_clears_the_last_message(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue = await channel.declare_queue(name())
    await publish(channel, queue, b"1", b"2")
    await queue.get(no_ack=True)
    message = await asyncio.wait_for(queue.get(no_ack=True), 5)
    expected = pathway_of(message)
    assert current_pathway() == (expected if sys.version_info >= (3, 12) else None)
    with asyncdsm.using(message):
        assert current_pathway() == expected
    assert expected is not None
    assert expected.hash == captured_streams.consumed()[1].hash


async def test_callback_does_not_inherit_the_pathway_of_the_channel_opener(
    rabbitmq: Any, captured_streams: Captured, bare: AbstractChannel, name: Name
) -> None:
    """Callbacks run in tasks that descend from the one that connected, which has a pathway of its own here."""
    stale = Pathway(1, time_ns(), time_ns())
    with current.restored(stale):
        connection = asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url))
        channel = await connection.channel()
        queue, seen = await channel.declare_queue(name()), Seen()
        await queue.consume(seen.callback, no_ack=True)
    await publish(bare, queue)  # carries no context
    (pathway,) = await seen.first(1)
    (read,) = captured_streams.consumed()
    assert read.parent == 0
    assert pathway is not None
    assert pathway.hash == read.hash
    await connection.close()


async def test_get_in_another_task_keeps_the_pathway_of_this_one(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """Before Python 3.12 none is current then: the hook clears it for the sake of `wait_for`."""
    queue, invoices = await channel.declare_queue(name()), await channel.declare_queue(name())
    await publish(channel, queue, b"1", b"2")
    await queue.get(no_ack=True)
    following = asyncio.create_task(queue.get(no_ack=True))
    await publish(channel, invoices)
    await following
    expected = captured_streams.consumed()[0].hash if sys.version_info >= (3, 12) else 0
    assert captured_streams.produced(invoices.name)[0].parent == expected


async def test_cancelled_get_counts_only_messages_handed_out(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """Cancel `get` after 0 to 39 turns of the loop."""
    queue, handed_out = await channel.declare_queue(name()), 0
    await publish(channel, queue, *[b"%d" % number for number in range(40)])
    for turns in range(40):
        task = asyncio.create_task(queue.get(fail=False, no_ack=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        handed_out += isinstance(result, aio_pika.IncomingMessage)
    assert len(captured_streams.consumed()) == handed_out
