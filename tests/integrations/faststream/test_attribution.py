"""In a handler, the pathway of its own message is the current one, and nothing is current afterwards."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.rabbit import RabbitBroker

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.testing import Captured
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.faststream.brokers import BrokerSetup, Seen, run_broker


async def test_concurrent_handlers_each_have_the_pathway_of_their_message(
    followed_setup: BrokerSetup, captured_streams: Captured
) -> None:
    name, other, count, many = followed_setup.name(), followed_setup.name(), Seen(), 40
    workers: dict[str, Any] = {} if isinstance(followed_setup.broker, RabbitBroker) else {"max_workers": 10}
    if isinstance(followed_setup.broker, KafkaBroker):
        workers["ack_policy"] = AckPolicy.ACK_FIRST

    @followed_setup.subscriber(name, **workers, grouped=True)
    async def handle(number: int) -> None:
        before = asyncdsm.current_pathway()
        await asyncio.sleep(0.001 * (number % 7))
        assert asyncdsm.current_pathway() == before
        await followed_setup.broker.publish(number, other)
        count.add((number, before))

    async with run_broker(followed_setup):
        for number in range(many):
            with current.restored(Pathway(1000 + number, 1, 1)):
                await followed_setup.broker.publish(number, name)
        seen = await count.wait_for(many)
    sent = {made.parent - 1000: made.hash for made in captured_streams.produced(name)}
    came = {made.parent: made.hash for made in captured_streams.consumed(name)}
    assert len({pathway.hash for _, pathway in seen}) == many
    assert all(pathway.hash == came[sent[number]] for number, pathway in seen)
    assert {made.parent for made in captured_streams.produced(other)} == set(came.values())


async def test_handler_that_returns_or_raises_leaves_nothing_current(
    followed_setup: BrokerSetup, captured_streams: Captured
) -> None:
    name, other, count = followed_setup.name(), followed_setup.name(), Seen()

    @followed_setup.subscriber(name)
    async def handle(number: int) -> None:
        count.add(asyncdsm.current_pathway())
        if number == 0:
            raise ZeroDivisionError

    async with run_broker(followed_setup):
        await followed_setup.broker.publish(0, name)
        await followed_setup.broker.publish(1, name)
        seen = await count.wait_for(2)
        current.set_current(None)
        await followed_setup.broker.publish(2, other)
    assert len(seen) == 2
    assert captured_streams.produced(other)[0].parent == 0


async def test_reply_or_message_fetched_in_a_handler_is_not_its_own_message(
    rabbitmq: RabbitMQ, options: dict[str, Any], captured_streams: Captured
) -> None:
    broker: Any = RabbitBroker(rabbitmq.url, **options)
    names, count = [f"queue-{uuid4().hex[:12]}" for _ in range(3)], Seen()

    @broker.subscriber(names[0])
    async def ask(number: int) -> None:
        before = asyncdsm.current_pathway()
        await broker.request(number, names[1], timeout=10)
        asked = asyncdsm.current_pathway()
        await fetched.get_one(timeout=10)
        count.add((before, asked, asyncdsm.current_pathway()))

    @broker.subscriber(names[1])
    async def answer(number: int) -> int:
        return number

    fetched = broker.subscriber(names[2])
    async with run_broker(BrokerSetup(broker, str)):
        await broker.publish(1, names[2])
        await broker.publish(1, names[0])
        ((before, asked, got),) = await count.wait_for(1)
    assert [len(captured_streams.consumed(name)) for name in names] == [1, 1, 1]
    assert before == asked
    assert got.hash == captured_streams.consumed(names[2])[0].hash
