"""aio-pika: an error of asyncdsm does not reach the program, and any headers table is handled."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from time import time_ns
from types import SimpleNamespace
from typing import Any

import aio_pika
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel
from asyncdsm_aio_pika.consume import find_pathway, record_delivery
from asyncdsm_aio_pika.produce import add_context
from hypothesis import given
from hypothesis import strategies as st

import asyncdsm
from asyncdsm import DataStreams, Pathway, Settings, testing
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from asyncdsm.integration.formats import amqp
from asyncdsm.integration.formats.amqp import count_headers_bytes, find_context
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.aio_pika.clients import Seen

Name = Callable[[], str]


async def test_error_in_a_hook_does_not_reach_the_program(
    rabbitmq: RabbitMQ, bare: AbstractChannel, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    queue_name = name()
    await bare.declare_queue(queue_name, auto_delete=False)
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        monkeypatch.setattr(amqp, "begin_produce", broken)
        monkeypatch.setattr(amqp, "consume", broken)
        async with asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url)) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=1)
            queue, seen = await channel.get_queue(queue_name), Seen()
            for body in (b"1", b"2", b"3"):
                await channel.default_exchange.publish(Message(body, headers={"h": body.decode()}), queue_name)
            read: list[Any] = [await queue.get(no_ack=True)]
            async with queue.iterator() as messages:
                async for message in messages:
                    await message.ack()
                    read.append(message)
                    break
            await queue.consume(seen.callback)
            assert await seen.first(1) == [None]
        assert [(message.body, message.headers) for message in read] == [
            (b"1", {"h": "1"}),
            (b"2", {"h": "2"}),
        ]
        assert [body for body, _ in seen.messages] == [b"3"]
        assert streams.stats.errors == 6
        assert streams.stats.recorded == 0


async def test_hooks_keep_signature_and_docstring(channel: AbstractChannel, name: Name) -> None:
    queue = await channel.declare_queue(name())
    plain = aio_pika.RobustQueue
    for method in ("consume", "get", "declare"):
        hooked, original = getattr(queue, method), getattr(plain, method)
        assert asyncio.iscoroutinefunction(hooked)
        assert hooked.__doc__ == original.__doc__
        assert list(inspect.signature(hooked).parameters) == list(inspect.signature(original).parameters)[1:]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(max_size=40),
    st.binary(max_size=40),
    st.builds(bytearray, st.binary(max_size=40)),
    st.just(datetime.now(UTC)),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
OURS = st.one_of(
    VALUES, st.builds(lambda hash_: Pathway(hash_, time_ns(), time_ns()).encode_base64(), st.integers(0, 2**64 - 1))
)
TABLES = st.dictionaries(st.text(max_size=10), VALUES, max_size=4).flatmap(
    lambda table: st.fixed_dictionaries(
        {name: st.just(value) for name, value in table.items()}, optional={HEADER: OURS, LEGACY_HEADER: OURS}
    )
)


class Delivered(aio_pika.IncomingMessage):
    """An incoming message with any headers table. It has not passed a broker, which would refuse some tables."""

    def __init__(self, headers: dict[str, Any]) -> None:
        Message.__init__(self, b"body", headers=headers)
        self.exchange = "exchange"


@given(TABLES)
def test_any_headers_table_is_read_unchanged(headers: dict[str, Any]) -> None:
    message = Delivered(dict(headers))
    given = repr(headers)
    with testing.capture() as captured:  # raises errors that would be logged
        record_delivery(SimpleNamespace(name="queue", exclusive=False), message)
        (read,) = captured.consumed()
    assert repr(dict(message.headers)) == given  # as strings, since a NaN is not equal to itself
    assert type(message.headers) is dict
    assert find_pathway(message) is not None
    unreadable = captured.stats().malformed
    assert unreadable == (find_context(headers) is not None and read.parent == 0 and not reads_as_zero(headers))
    assert read.size == 4 + count_headers_bytes(headers)


def reads_as_zero(headers: dict[str, Any]) -> bool:
    pathway = Pathway.decode_base64(find_context(headers) or "")
    return pathway is not None and pathway.hash == 0


@given(TABLES)
def test_any_headers_table_is_sent_with_the_context_added(headers: dict[str, Any]) -> None:
    message = Message(b"body", headers=dict(headers))
    with testing.capture():
        pending, sent = add_context("", "queue", message)
    assert pending is not None
    assert sent.headers.pop(HEADER) == pending.pathway.encode_base64()
    headers.pop(HEADER, None)
    assert repr(sent.headers) == repr(headers)


def test_users_message_class_keeps_its_attributes(captured_streams: testing.Captured) -> None:
    class Own(Message):
        @property
        def own(self) -> str:
            return "mine"

    message = Own(b"body", headers={"h": "v"}, correlation_id="c")
    message.lock()
    _, sent = add_context("exchange", "key", message)
    assert (sent.own, sent.correlation_id, sent.body, sent.locked) == ("mine", "c", b"body", True)
    assert sent.headers.keys() == {"h", HEADER}
    assert message.headers == {"h": "v"}
    assert isinstance(sent, Message)
