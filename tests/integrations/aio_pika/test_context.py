"""aio-pika on a real RabbitMQ: the context and the time that a message brings."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from datetime import UTC, datetime
from time import time, time_ns, tzset
from types import SimpleNamespace
from typing import Any

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from asyncdsm_aio_pika import consume

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.integration.formats.amqp import read_timestamp
from asyncdsm.testing import Captured
from tests.integrations.aio_pika.clients import Name, hashes, publish


@pytest.mark.parametrize("published", [None, -1, 0, True, float("nan"), 1e30, "now", datetime.min, datetime.max])
async def test_malformed_timestamp_is_ignored_and_counted(published: Any, captured_streams: Captured) -> None:
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


async def test_message_without_context_begins_at_its_timestamp(
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


def test_timestamp_without_zone_is_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """pamqp before 3.3 gives such timestamps, with aio-pika 9.0 and 9.1."""
    monkeypatch.setenv("TZ", "America/New_York")
    tzset()
    try:
        message = aio_pika.IncomingMessage.__new__(aio_pika.IncomingMessage)
        object.__setattr__(message, "timestamp", datetime(2026, 1, 2))
        assert read_timestamp(message.timestamp) == datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1e9
    finally:
        monkeypatch.undo()
        tzset()


@pytest.mark.parametrize(
    "value",
    ["", "?", "é" * 28, "A" * 27, 7, True, None, [], {}, ["x"], {"a": {"b": 1}}, 1.5, "x" * 100_000],
    ids=repr,
)
async def test_malformed_context_begins_a_pathway(
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


async def test_legacy_context_is_read(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue, pathway = await channel.declare_queue(name()), Pathway(5, time_ns(), time_ns())
    await publish(bare, queue, headers={LEGACY_HEADER: pathway.encode_base64()})
    await publish(bare, queue, headers={LEGACY_HEADER: bytearray(pathway.encode())})
    for _ in range(2):
        await queue.get(no_ack=True)
    assert [made.parent for made in captured_streams.consumed()] == [5, 5]


async def test_consumed_headers_are_unchanged(channel: AbstractChannel, bare: AbstractChannel, name: Name) -> None:
    queue = await channel.declare_queue(name())
    given = {"list": [1, {"a": "b"}], "text": "v"}  # sorted by name, as on the wire
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


async def test_message_put_on_a_queue_keeps_its_pathway(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """Callbacks put messages on a queue of the program, and workers take them from there."""
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


async def test_message_no_hook_saw_continues_without_this_hop(
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


async def test_dead_letter_keeps_the_context_of_its_publisher(
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
