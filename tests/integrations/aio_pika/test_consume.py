"""aio-pika on a real RabbitMQ: every way a message arrives."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from time import time, time_ns, tzset
from types import SimpleNamespace
from typing import Any

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import QueueEmpty
from asyncdsm_aio_pika import consume

import asyncdsm
from asyncdsm import Pathway, current_pathway
from asyncdsm.core import current
from asyncdsm.core.lag import current_lags
from asyncdsm.core.pathway import HEADER, LEGACY_HEADER
from asyncdsm.integration.formats.amqp import read_timestamp
from asyncdsm.integration.registry import pathway_of
from asyncdsm.testing import Captured

Name = Callable[[], str]


class Seen:
    """What callbacks saw, and a way to wait for it."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, Pathway | None]] = []
        self._changed = asyncio.Condition()

    async def callback(self, message: AbstractIncomingMessage) -> None:
        await self.take(message.body, current_pathway())

    async def take(self, body: bytes, pathway: Pathway | None) -> None:
        async with self._changed:
            self.messages.append((body, pathway))
            self._changed.notify_all()

    async def first(self, count: int) -> list[Pathway | None]:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(lambda: len(self.messages) >= count)
        return [pathway for _, pathway in self.messages]


async def publish(channel: AbstractChannel, queue: AbstractQueue, *bodies: bytes, **options: Any) -> None:
    for body in bodies or (b"body",):
        await channel.default_exchange.publish(Message(body, **options), queue.name)


def hashes(made: list[Any]) -> list[int]:
    return [each.hash for each in made]


async def test_the_pathway_is_current_inside_the_callback(
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


async def test_every_kind_of_callback(channel: AbstractChannel, captured_streams: Captured, name: Name) -> None:
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


async def test_options_of_consume_go_through(channel: AbstractChannel, captured_streams: Captured, name: Name) -> None:
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


async def test_a_queue_that_the_server_names_is_left_out(rabbitmq: Any, captured_streams: Captured) -> None:
    async with asyncdsm.wrap(await aio_pika.connect(rabbitmq.url)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        assert queue.name.startswith("amq.gen-")
        fan = await channel.declare_exchange(f"fan-{queue.name}", "fanout", auto_delete=True)
        await queue.bind(fan)
        with current.restored(Pathway(9, 1, 1)):
            await publish(channel, queue)
            await queue.get(no_ack=True)
            assert asyncdsm.current_pathway() == Pathway(9, 1, 1), "who waits for a reply goes on after it"
            await fan.publish(Message(b"event"), "")
            message = await queue.get(no_ack=True)
            assert message is not None
            assert asyncdsm.current_pathway() is None
    (sent,) = captured_streams.checkpoints
    assert (sent.tag("exchange"), sent.parent) == (fan.name, 9)
    with asyncdsm.using(message) as pathway:  # it goes on as it came
        assert pathway is not None
        assert pathway.hash == sent.hash


@pytest.mark.parametrize("way", ["get", "iterator", "callback"])
async def test_replies_at_a_queue_of_ones_own_make_no_pathway_grow(
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


@pytest.mark.parametrize("published", [None, -1, 0, True, float("nan"), 1e30, "now", datetime.min, datetime.max])
async def test_an_odd_time_of_a_message_is_no_time(published: Any, captured_streams: Captured) -> None:
    message = Incoming(b"body")
    object.__setattr__(message, "timestamp", published)
    consume.record_delivery(SimpleNamespace(name="queue", exclusive=False), message)
    (read,) = captured_streams.consumed()
    assert 0 <= read.edge_latency < 60
    assert captured_streams.stats().malformed == (published is not None)
    current.set_current(None)


class Incoming(aio_pika.IncomingMessage):
    def __init__(self, body: bytes) -> None:
        Message.__init__(self, body)
        self.exchange = ""


@pytest.mark.parametrize("kind", ["quorum", "stream"])
async def test_quorum_and_stream_queues(
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


async def test_an_iterator_counts_what_it_hands_out(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """What it has fetched ahead goes back when it is closed, and is delivered again: once is counted."""
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


async def test_a_redelivery_is_a_delivery(channel: AbstractChannel, captured_streams: Captured, name: Name) -> None:
    queue = await channel.declare_queue(name())
    await publish(channel, queue)
    for requeue in (True, False):
        message = await queue.get()
        assert message is not None
        assert message.redelivered is not requeue
        await message.reject(requeue=requeue)
    (sent,), read = captured_streams.produced(), captured_streams.consumed()
    assert [made.parent for made in read] == [sent.hash, sent.hash]


async def test_get(channel: AbstractChannel, captured_streams: Captured, name: Name) -> None:
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


async def test_wait_for_never_leaves_the_message_before(
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


async def test_nothing_stale_from_whoever_opened_the_channel(
    rabbitmq: Any, captured_streams: Captured, bare: AbstractChannel, name: Name
) -> None:
    """Callbacks run in tasks that descend from the one that connected: here it had a pathway of its own."""
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


async def test_without_a_context_a_pathway_begins_when_the_message_was_published(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue, published = await channel.declare_queue(name()), int(time()) - 30
    await publish(bare, queue, timestamp=datetime.fromtimestamp(published, UTC))
    await publish(bare, queue)
    for _ in range(2):
        await queue.get(no_ack=True)
    timed, untimed = captured_streams.consumed()
    assert timed.parent == untimed.parent == 0
    assert timed.pathway_latency == timed.edge_latency == pytest.approx(timed.time_ns / 1e9 - published)
    assert untimed.pathway_latency == 0


def test_a_time_without_a_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pamqp says it before 3.3, under aio-pika 9.0 and 9.1."""
    monkeypatch.setenv("TZ", "America/New_York")
    tzset()
    try:
        message = aio_pika.IncomingMessage.__new__(aio_pika.IncomingMessage)
        object.__setattr__(message, "timestamp", datetime(2026, 1, 2))
        assert read_timestamp(message.timestamp) == datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1e9
    finally:
        monkeypatch.undo()
        tzset()


async def test_asking_in_another_task_leaves_this_one_its_pathway(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """Not so before Python 3.12, where that is done for the sake of `wait_for`: then none is current."""
    queue, invoices = await channel.declare_queue(name()), await channel.declare_queue(name())
    await publish(channel, queue, b"1", b"2")
    await queue.get(no_ack=True)
    following = asyncio.create_task(queue.get(no_ack=True))
    await publish(channel, invoices)
    await following
    expected = captured_streams.consumed()[0].hash if sys.version_info >= (3, 12) else 0
    assert captured_streams.produced(invoices.name)[0].parent == expected


@pytest.mark.parametrize(
    "value",
    ["", "?", "é" * 28, "A" * 27, 7, True, None, [], {}, ["x"], {"a": {"b": 1}}, 1.5, "x" * 100_000],
    ids=repr,
)
async def test_a_context_that_cannot_be_read_begins_a_pathway(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name, value: Any
) -> None:
    queue = await channel.declare_queue(name())
    await publish(bare, queue, b"body", headers={HEADER: value, "h": "v"})
    message = await queue.get(no_ack=True)
    assert message is not None
    assert message.headers == {HEADER: value, "h": "v"}
    (read,) = captured_streams.consumed()
    assert read.parent == 0
    assert captured_streams.stats().malformed == 1


async def test_the_legacy_context_is_read(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue, pathway = await channel.declare_queue(name()), Pathway(5, time_ns(), time_ns())
    await publish(bare, queue, headers={LEGACY_HEADER: pathway.encode_base64()})
    await publish(bare, queue, headers={LEGACY_HEADER: bytearray(pathway.encode())})
    for _ in range(2):
        await queue.get(no_ack=True)
    assert [made.parent for made in captured_streams.consumed()] == [5, 5]


async def test_headers_stay_what_they_were(channel: AbstractChannel, bare: AbstractChannel, name: Name) -> None:
    queue = await channel.declare_queue(name())
    given = {"list": [1, {"a": "b"}], "text": "v"}  # sorted by name, as the wire has them
    await publish(bare, queue, headers=given)
    message = await queue.get()
    assert message is not None
    assert isinstance(message.headers, dict)
    assert message.headers == given
    assert json.dumps(message.headers) == json.dumps(given)
    assert type(pickle.loads(pickle.dumps(message.headers))) is dict  # noqa: S301  # our own
    assert type(copy.deepcopy(message.headers)) is dict
    message.headers["mine"] = "too"
    assert copy.copy(message).headers["mine"] == "too"
    await message.ack()


async def test_a_message_gone_elsewhere_keeps_its_pathway(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """Callbacks that only put messages on a queue of the program's own, and workers."""
    queue, invoices = await channel.declare_queue(name()), await channel.declare_queue(name())
    waiting: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    await queue.consume(waiting.put)
    await publish(channel, queue, b"1", b"2", b"3")
    for _ in range(3):
        message = await waiting.get()
        with asyncdsm.using(message):
            await publish(channel, invoices)
        await message.ack()
    read, sent = captured_streams.consumed(queue.name), captured_streams.produced(invoices.name)
    assert [made.parent for made in sent] == hashes(read)


async def test_a_message_that_no_hook_saw_goes_on_as_it_came(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue = await channel.declare_queue(name())
    await publish(channel, queue)
    await publish(bare, queue)
    unseen = await bare.get_queue(queue.name)
    with asyncdsm.using(await unseen.get(no_ack=True)) as pathway:
        assert pathway is not None
        assert pathway.hash == captured_streams.produced()[0].hash
    with asyncdsm.using(await unseen.get(no_ack=True)) as pathway:
        assert pathway is not None
        assert pathway.hash == 0


async def test_a_dead_letter_has_the_right_parent(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    dead = await channel.declare_queue(name())
    queue = await channel.declare_queue(
        name(), arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead.name}
    )
    await publish(channel, queue, headers={"h": "v"})
    message = await queue.get()
    assert message is not None
    context = message.headers[HEADER]
    await message.reject(requeue=False)
    async for letter in dead.iterator():
        headers: dict[str, Any] = letter.headers
        (death,) = headers["x-death"]
        assert (death["queue"], death["reason"], death["count"]) == (queue.name, "rejected", 1)
        assert letter.headers[HEADER] == context
        assert letter.headers["h"] == "v"
        await letter.ack()
        break
    (sent,) = captured_streams.produced()
    rejected, buried = captured_streams.consumed()
    assert rejected.follows(sent)
    assert buried.follows(sent)
    assert (rejected.topic, buried.topic) == (queue.name, dead.name)


async def test_the_depth_of_a_queue_is_its_lag(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue = await channel.declare_queue(name())

    def depth() -> int:
        (lag,) = [lag for lag in current_lags() if lag.topic == queue.name]
        assert (lag.group, lag.partition, lag.unit) == (None, None, "ready")
        assert lag.seen_ns is not None
        return lag.behind

    assert depth() == 0
    await publish(bare, queue, b"1", b"2", b"3")
    for left in (2, 1, 0):
        await queue.get(no_ack=True)
        assert depth() == left
    await publish(bare, queue, b"1", b"2")
    assert depth() == 0
    await channel.declare_queue(queue.name)
    assert depth() == 2
    await queue.purge()
    assert await queue.get(fail=False) is None
    assert depth() == 0


async def test_a_get_that_is_cancelled_takes_nothing_else_with_it(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """Cancelled after every number of loop turns: what was not handed out was not counted."""
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
