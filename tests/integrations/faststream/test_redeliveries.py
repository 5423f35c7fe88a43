"""Messages that were delivered before count as redelivered, with the middleware and where the clients are followed."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from asyncdsm_faststream.redis_messages import read_received, split_batch
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.rabbit import RabbitBroker, RabbitMessage
from faststream.redis import RedisBroker, StreamSub

from asyncdsm.testing import Captured
from tests.brokers.nats import NatsServer
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.faststream.brokers import Seen
from tests.integrations.faststream.ways import GROUP, make_name


def count_redelivered(captured: Captured) -> int:
    """Return how many messages counted as redelivered, and forget them."""
    return sum(facts.redelivered for batch in captured.facts.take(None) for facts in batch.edges.values())


@pytest.mark.parametrize(
    "consumer", [{"queue": GROUP}, {"durable": GROUP, "pull_sub": PullSub(timeout=0.2)}], ids=["push", "pull"]
)
async def test_message_of_jetstream_that_was_not_acknowledged(
    nats: NatsServer, options: dict[str, Any], captured_streams: Captured, consumer: dict[str, Any]
) -> None:
    name, count = make_name(), Seen()
    async with NatsBroker(nats.url, **options) as broker:

        @broker.subscriber(name, stream=JStream(name, subjects=[name]), **consumer, ack_policy=AckPolicy.MANUAL)
        async def handle(number: int, message: NatsMessage) -> None:
            await (message.nack() if len(count.seen) < 2 else message.ack())
            count.add(number)

        await broker.start()
        for number in range(2):
            await broker.publish(number, name, stream=name)
        await count.wait_for(4)
    assert len(captured_streams.consumed(name)) == 4
    assert count_redelivered(captured_streams) == 2


@pytest.mark.parametrize("batch", [False, True])
async def test_claimed_entry_of_redis(
    redis: str, options: dict[str, Any], captured_streams: Captured, batch: bool
) -> None:
    name, failed, claimed = make_name(), Seen(), Seen()
    async with RedisBroker(redis, **options) as broker:

        @broker.subscriber(stream=StreamSub(name, polling_interval=20, group=GROUP, consumer="one"))
        async def fail(body: int) -> None:
            failed.add(body)
            raise ZeroDivisionError

        await broker.start()
        for number in range(3):
            await broker.publish(number, stream=name)
        await failed.wait_for(3)
        assert count_redelivered(captured_streams) == 0
        claims = StreamSub(name, polling_interval=20, group=GROUP, consumer="two", min_idle_time=1, batch=batch)
        subscriber = broker.subscriber(stream=claims)

        @subscriber
        async def claim(body: Any) -> None:
            claimed.add(body)

        await subscriber.start()
        await claimed.wait_for(3)
    assert len(captured_streams.consumed(name)) == 6
    assert count_redelivered(captured_streams) == 3


async def test_entries_that_get_one_claims_or_reads_again(
    redis: str, options: dict[str, Any], captured_streams: Captured
) -> None:
    name, one = make_name(), dict[str, Any](group=GROUP, consumer="one")
    async with RedisBroker(redis, **options) as broker:
        new, claims = (
            broker.subscriber(stream=StreamSub(name, **one)),
            broker.subscriber(stream=StreamSub(name, group=GROUP, consumer="two", min_idle_time=1)),
        )
        await new.start()
        await claims.start()
        await broker.publish(1, stream=name)
        assert await new.get_one(timeout=5)
        assert count_redelivered(captured_streams) == 0
        again = broker.subscriber(stream=StreamSub(name, last_id="0", **one))
        await again.start()
        for subscriber in (again, claims):
            await asyncio.sleep(0.01)  # a read makes its entries busy for the millisecond of `min_idle_time`
            assert await subscriber.get_one(timeout=5)
            assert count_redelivered(captured_streams) == 1
    assert [made.tag("group") for made in captured_streams.consumed(name)] == [GROUP] * 3


async def test_message_of_rabbitmq_that_was_rejected(
    rabbitmq: RabbitMQ, options: dict[str, Any], captured_streams: Captured
) -> None:
    name, count = f"queue-{uuid4().hex[:12]}", Seen()
    async with RabbitBroker(rabbitmq.url, **options) as broker:

        @broker.subscriber(name, ack_policy=AckPolicy.MANUAL)
        async def handle(number: int, message: RabbitMessage) -> None:
            await (message.nack() if not count.seen else message.ack())
            count.add(number)

        await broker.start()
        await broker.publish(1, name)
        await count.wait_for(2)
    assert len(captured_streams.consumed(name)) == 2
    assert count_redelivered(captured_streams) == 1


def test_entry_that_redis_has_claimed_for_a_read() -> None:
    """`claim_min_idle_time` needs a newer server: FastStream says then how often each entry was delivered before."""

    class Subscriber:
        stream_sub = StreamSub("orders", group=GROUP, consumer="one", claim_min_idle_time=1)
        read_id = ">"

    batch = {"type": "bstream", "channel": "orders", "data": [{}, {}], "message_ids": [b"1-0", b"2-0"]}
    read = [read_received(each, Subscriber()) for each in split_batch({**batch, "delivery_counts": [0, 2]})]
    assert [each and each.is_redelivered for each in read] == [False, True]
