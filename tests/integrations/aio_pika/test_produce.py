"""aio-pika on a real RabbitMQ: every way to publish a message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aio_pika.exceptions import DeliveryError
from aio_pika.patterns import RPC, Master

import asyncdsm
from asyncdsm import Pathway, testing
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ

Name = Callable[[], str]

VECTORS = json.loads((Path(__file__).parents[2] / "unit" / "vectors.json").read_text())["hashes"]


def vector(*tags: str) -> dict[str, Any]:
    """Return the vector of these tags."""
    (found,) = [vector for vector in VECTORS if vector["tags"] == list(tags)]
    return dict(found)


async def headers_in(channel: AbstractChannel, queue: AbstractQueue) -> dict[str, Any]:
    """Take a message with a client that is not wrapped; return its headers."""
    message = await (await channel.get_queue(queue.name)).get(no_ack=True)
    assert message is not None
    return dict(message.headers)


def hash_in(headers: dict[str, Any]) -> int:
    pathway = Pathway.decode_base64(headers[HEADER])
    assert pathway is not None
    return pathway.hash


@pytest.mark.parametrize("kind", [ExchangeType.DIRECT, ExchangeType.TOPIC, ExchangeType.FANOUT, ExchangeType.HEADERS])
async def test_every_exchange_type_gives_the_hashes_of_the_vectors(rabbitmq: RabbitMQ, kind: ExchangeType) -> None:
    with testing.capture(service="weblog", env="system-tests") as captured:
        async with asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url)) as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange("dsm-system-tests-exchange", kind, auto_delete=True)
            queue = await channel.declare_queue("dsm-system-tests-queue", auto_delete=True)
            await queue.bind(exchange, "key", arguments={"x-match": "all", "h": "v"})
            await exchange.publish(Message(b"body", headers={"h": "v"}), "key")
            async for message in queue.iterator():
                await message.ack()
                break
    sent, read = captured.checkpoints
    out = vector("direction:out", "exchange:dsm-system-tests-exchange", "has_routing_key:true", "type:rabbitmq")
    into = vector("direction:in", "topic:dsm-system-tests-queue", "type:rabbitmq")
    assert (list(sent.tags), sent.parent, sent.hash) == (out["tags"], 0, int(out["hash"]))
    assert (list(read.tags), read.parent, read.hash) == (into["tags"], sent.hash, int(into["hash"]))


async def test_default_exchange_is_named_by_routing_key(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue = await channel.declare_queue(name())
    await channel.default_exchange.publish(Message(b"body"), queue.name)
    await queue.get(no_ack=True)
    sent, read = captured_streams.checkpoints
    assert sent.tags == ("direction:out", f"topic:{queue.name}", "type:rabbitmq")
    assert read.tags == ("direction:in", f"topic:{queue.name}", "type:rabbitmq")
    assert read.follows(sent)


async def test_exchange_without_routing_key_is_tagged_so(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    exchange = await channel.declare_exchange(name(), ExchangeType.FANOUT)
    await exchange.publish(Message(b"body"), "")
    (sent,) = captured_streams.checkpoints
    assert sent.tags == ("direction:out", f"exchange:{exchange.name}", "has_routing_key:false", "type:rabbitmq")


async def test_fan_out_gives_three_consumers_one_parent(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    exchange = await channel.declare_exchange(name(), ExchangeType.FANOUT)
    queues = [await channel.declare_queue(name()) for _ in range(3)]
    for queue in queues:
        await queue.bind(exchange)
    await exchange.publish(Message(b"body"), "")
    for queue in queues:
        await queue.get(no_ack=True)
    (sent,) = captured_streams.produced()
    read = captured_streams.consumed()
    assert [made.topic for made in read] == [queue.name for queue in queues]
    assert all(made.follows(sent) for made in read)
    assert len({made.hash for made in read}) == 3


async def test_message_object_published_four_times_has_four_contexts(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    one, other = await channel.declare_queue(name()), await channel.declare_queue(name())
    message = Message(b"body", headers={"h": "v", HEADER: "forwarded"}, correlation_id="c", priority=3)
    given, properties = message.headers, bytes(message.properties.marshal())
    for queue in (one, other, one):
        await channel.default_exchange.publish(message, routing_key=queue.name)
    await channel.default_exchange.publish(routing_key=one.name, message=message, mandatory=False, timeout=5)
    assert message.headers is given
    assert given == {"h": "v", HEADER: "forwarded"}
    assert bytes(message.properties.marshal()) == properties
    first, second, third, fourth = captured_streams.produced()
    for queue, sent in ((one, first), (other, second), (one, third), (one, fourth)):
        headers = await headers_in(bare, queue)
        assert headers.keys() == {"h", HEADER}
        assert hash_in(headers) == sent.hash


async def test_sent_message_equals_the_given_one_but_for_the_context(
    channel: AbstractChannel, bare: AbstractChannel, name: Name
) -> None:
    queue = await channel.declare_queue(name())
    given: dict[str, Any] = {
        "text": "é",
        "number": 7,
        "nested": {"a": [1, "b", {"c": None}]},
        "flag": True,
        "none": None,
        "real": 1.5,
    }
    message = Message(
        bytes(range(256)),
        headers=given,
        content_type="application/x",
        content_encoding="gzip",
        delivery_mode=2,
        priority=5,
        correlation_id="c",
        reply_to="r",
        expiration=60,
        message_id="m",
        timestamp=1_700_000_000,
        type="t",
        user_id="guest",
        app_id="a",
    )
    for publisher in (channel, bare):
        await publisher.default_exchange.publish(message, queue.name)
    ours, bares = [await (await bare.get_queue(queue.name)).get(no_ack=True) for _ in range(2)]
    assert ours is not None
    assert bares is not None
    assert ours.headers.pop(HEADER)
    assert ours.body == bares.body
    assert {**ours.info(), "delivery_tag": 0} == {**bares.info(), "delivery_tag": 0}


async def test_consumed_message_can_be_published_again(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    source, target = await channel.declare_queue(name()), await channel.declare_queue(name())
    await channel.default_exchange.publish(Message(b"body", headers={"h": "v"}), source.name)
    message = await source.get(no_ack=True)  # a locked message
    assert message is not None
    await channel.default_exchange.publish(message, target.name)
    sent, read, forwarded = captured_streams.checkpoints
    assert read.follows(sent)
    assert forwarded.follows(read)
    assert hash_in(await headers_in(bare, target)) == forwarded.hash


async def test_size_is_that_of_body_and_headers(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue = await channel.declare_queue(name())
    ours = len(HEADER) + 28
    given: dict[str, Any] = {"é": "é", "n": 1, "t": {"k": ["ab", None]}}
    expected = 4 + (1 + 2) + (1 + 8) + (1 + 1 + 2) + ours
    await channel.default_exchange.publish(Message(b"body", headers=given), queue.name)
    await channel.default_exchange.publish(Message(b""), queue.name)
    for _ in range(2):
        await queue.get(no_ack=True)
    assert [made.size for made in captured_streams.checkpoints] == [expected, ours, expected, ours]


@pytest.mark.parametrize("confirms", [True, False])
async def test_publish_counts_with_and_without_confirms(
    connection: AbstractConnection, bare: AbstractChannel, captured_streams: Captured, name: Name, confirms: bool
) -> None:
    channel = await connection.channel(publisher_confirms=confirms)
    queue = await channel.declare_queue(name())
    await channel.default_exchange.publish(Message(b"body"), queue.name)
    await channel.default_exchange.publish(Message(b"to nobody"), name())
    await channel.close()
    assert hash_in(await headers_in(bare, queue)) == captured_streams.produced(queue.name)[0].hash
    assert len(captured_streams.produced()) == 2


async def test_publish_in_a_transaction_carries_the_context(
    connection: AbstractConnection, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    channel = await connection.channel(publisher_confirms=False)
    queue = await channel.declare_queue(name())
    async with channel.transaction():
        await channel.default_exchange.publish(Message(b"body"), queue.name)
    assert hash_in(await headers_in(bare, queue)) == captured_streams.produced(queue.name)[0].hash


async def test_message_refused_by_the_broker_is_not_counted(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    full = await channel.declare_queue(name(), arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await channel.default_exchange.publish(Message(b"body"), full.name)
    with pytest.raises(DeliveryError):
        await channel.default_exchange.publish(Message(b"body"), full.name)
    assert len(captured_streams.produced(full.name)) == 1


async def test_headers_nearly_too_large_are_sent_without_context(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    """With one more entry RabbitMQ would close the connection."""
    queue = await channel.declare_queue(name())
    large = {f"h{number}": "x" * 1000 for number in range(127)}
    forwarded = Message(b"body", headers={**large, HEADER: "of another message"})
    await channel.default_exchange.publish(forwarded, queue.name)
    assert await headers_in(bare, queue) == large
    assert captured_streams.stats().not_propagated == 1
    assert len(captured_streams.produced(queue.name)) == 1


async def test_reply_goes_without_the_context_that_it_is_forwarded_with(
    channel: AbstractChannel, captured_streams: Captured
) -> None:
    queue = await channel.declare_queue("", exclusive=True)  # the server names it, as queues for replies
    reply = Message(b"body", headers={"a": "b", HEADER: "of the request"}, correlation_id="1")
    await channel.default_exchange.publish(reply, queue.name)
    received = await queue.get(no_ack=True)
    assert received is not None
    assert (received.body, received.headers, received.correlation_id) == (b"body", {"a": "b"}, "1")
    assert reply.headers == {"a": "b", HEADER: "of the request"}
    assert captured_streams.checkpoints == []


async def test_task_of_master_and_worker_continues_the_pathway(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    import asyncio

    tasks, done, follow_up = name(), asyncio.Event(), await channel.declare_queue(name())
    master = Master(channel)

    async def work(*, order: int) -> None:
        assert order == 1
        await channel.default_exchange.publish(Message(b"done"), follow_up.name)
        done.set()

    worker = await master.create_worker(tasks, work, auto_delete=True)
    await master.create_task(tasks, {"order": 1})
    async with asyncio.timeout(10):
        await done.wait()
    await worker.close()
    # By name, not by order: where tasks are eager, a message may be read before its `publish` returns and counts.
    (sent,), (read,) = captured_streams.produced(tasks), captured_streams.consumed(tasks)
    (followed,) = captured_streams.produced(follow_up.name)
    assert read.follows(sent)
    assert followed.follows(read)


async def test_rpc_counts_the_call_and_not_the_reply(
    channel: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    method = name()
    rpc = await RPC.create(channel)

    async def double(*, number: int) -> int:
        return 2 * number

    await rpc.register(method, double, auto_delete=True)
    assert await rpc.call(method, {"number": 21}) == 42
    await rpc.close()
    called, handled = (
        captured_streams.checkpoints
    )  # the reply is not a hop: its queue lives only as long as this process
    assert (called.topic, called.tag("direction")) == (method, "out")
    assert handled.follows(called)


async def test_publish_adds_nothing_while_nothing_measures(
    rabbitmq: RabbitMQ, bare: AbstractChannel, name: Name
) -> None:
    async with asyncdsm.wrap(await aio_pika.connect_robust(rabbitmq.url)) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name(), auto_delete=True)
        await channel.default_exchange.publish(Message(b"body", headers={"h": "v"}), queue.name)
        assert await headers_in(bare, queue) == {"h": "v"}
