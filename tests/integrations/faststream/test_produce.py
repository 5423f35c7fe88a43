"""What FastStream publishes: edges, replies, exchanges."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any
from uuid import uuid4

from asyncdsm_faststream import DataStreamsMiddleware
from faststream import Response
from faststream.rabbit import RabbitBroker, RabbitExchange, RabbitMessage

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.faststream.brokers import BrokerSetup, Seen, run_broker


async def test_published_messages_and_replies_are_counted_with_their_edges(
    setup: BrokerSetup, captured_streams: Captured
) -> None:
    first, second, count = setup.name(), setup.name(), Seen()

    @setup.subscriber(first, grouped=True)
    @setup.broker.publisher(second)
    async def pass_on(number: int) -> int:
        assert asyncdsm.current_pathway() is not None
        return number + 1

    @setup.subscriber(second)
    async def end(number: int) -> None:
        count.add(number)

    given = {"mine": "x"}
    async with run_broker(setup):
        for number in range(3):
            await setup.broker.publish(number, first, headers=given)
        assert await count.wait_for(3) == [1, 2, 3]
    assert given == {"mine": "x"}
    kind = "rabbitmq" if isinstance(setup.broker, RabbitBroker) else "kafka"
    out, into = captured_streams.produced(first), captured_streams.consumed(first)
    passed, ended = captured_streams.produced(second), captured_streams.consumed(second)
    assert [len(made) for made in (out, into, passed, ended)] == [3, 3, 3, 3]
    assert {made.tag("type") for made in captured_streams.checkpoints} == {kind}
    assert {made.parent for made in out} == {0}
    for before, after in zip((out, into, passed), (into, passed, ended), strict=True):
        assert all(made.follows(before[0]) for made in after)
    if kind == "kafka":
        assert into[0].tag("group") == f"group-{first}"
    assert all(made.size for made in into)


async def test_reply_to_a_queue_is_counted_and_reply_to_a_caller_is_not(
    rabbitmq: RabbitMQ, captured_streams: Captured
) -> None:
    broker: Any = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
    setup = BrokerSetup(broker, lambda: f"queue-{uuid4().hex[:12]}")
    asked, answers, count = setup.name(), setup.name(), Seen()

    @setup.subscriber(asked)
    async def answer(number: int, message: RabbitMessage) -> Any:
        return Response(number + 1, headers=message.headers)

    @setup.subscriber(answers)
    async def answered(number: int) -> None:
        count.add(number)

    async with run_broker(setup):
        reply = await broker.request(1, asked, timeout=10)
        assert (await reply.decode(), asyncdsm.current_pathway()) == (2, None)
        assert HEADER not in reply.headers
        await broker.publish(2, asked, reply_to=answers)
        await count.wait_for(1)
    assert [len(captured_streams.produced(name)) for name in (asked, answers)] == [2, 1]
    assert [len(captured_streams.consumed(name)) for name in (asked, answers)] == [2, 1]
    assert captured_streams.produced(answers)[0].follows(captured_streams.consumed(asked)[1])
    assert len(captured_streams.checkpoints) == 6


async def test_publish_to_an_exchange_is_counted_by_exchange(rabbitmq: RabbitMQ, captured_streams: Captured) -> None:
    broker: Any = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
    exchange, queue, count = RabbitExchange(f"exchange-{uuid4().hex[:8]}"), f"queue-{uuid4().hex[:8]}", Seen()

    @broker.subscriber(queue, exchange)
    async def handle(number: int) -> None:
        count.add(number)

    async with run_broker(BrokerSetup(broker, str)):
        await broker.publish(1, queue, exchange)
        await count.wait_for(1)
    (out,), (into,) = captured_streams.produced(), captured_streams.consumed(queue)
    assert (out.tag("exchange"), out.tag("has_routing_key"), out.topic) == (exchange.name, "true", None)
    assert into.follows(out)
