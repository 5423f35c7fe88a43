"""What FastStream receives: by handlers, one by one, in batches, with its test broker."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream import Context
from faststream.kafka import KafkaBroker, TestKafkaBroker

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.faststream.brokers import BrokerSetup, Seen, run_broker

TestKafkaBroker.__test__ = False


EARLIER = Pathway(99, 1, 1)


async def test_get_one_and_iteration_make_their_message_current(setup: BrokerSetup, captured_streams: Captured) -> None:
    name = setup.name()
    subscriber = setup.subscriber(name)
    async with run_broker(setup):
        for number in range(3):
            await setup.broker.publish(number, name)
        message = await subscriber.get_one(timeout=10)
        pathways = [asyncdsm.current_pathway()]
        assert HEADER in message.headers
        with asyncdsm.using(message) as pathway:
            assert pathway == pathways[0]
        async with asyncio.timeout(20):
            async for _ in subscriber:
                pathways.append(asyncdsm.current_pathway())
                if len(pathways) == 3:
                    break
    consumed = captured_streams.consumed(name)
    assert [made.hash for made in consumed] == [pathway and pathway.hash for pathway in pathways]


@pytest.mark.parametrize("setup", ["aiokafka", "confluent"], indirect=True)  # RabbitMQ has no batches
async def test_batch_counts_every_message_and_makes_one_current_only_if_alone(
    setup: BrokerSetup, captured_streams: Captured
) -> None:
    name, other, count = setup.name(), setup.name(), Seen()

    @setup.subscriber(name, batch=True)
    async def handle(numbers: list[int]) -> None:
        count.add((numbers, asyncdsm.current_pathway()))
        await setup.broker.publish_batch(*numbers, topic=other)

    async with run_broker(setup):
        current.set_current(EARLIER)
        await setup.broker.publish_batch(1, 2, 3, topic=name)
        seen = await count.wait_for(1)
        async with asyncio.timeout(20):
            while sum(len(numbers) for numbers, _ in seen) < 3 or len(captured_streams.produced(other)) < 3:
                await asyncio.sleep(0.01)
    assert [made.parent for made in captured_streams.produced(name)] == [99, 99, 99]
    assert {made.parent for made in captured_streams.consumed(name)} == {captured_streams.produced(name)[0].hash}
    assert len(captured_streams.consumed(name)) == 3
    for numbers, pathway in seen:
        assert (pathway is None) == (len(numbers) > 1)


@pytest.mark.parametrize("setup", ["aiokafka", "confluent"], indirect=True)
async def test_using_a_record_of_a_batch_makes_its_pathway_current(
    setup: BrokerSetup, captured_streams: Captured
) -> None:
    name, count = setup.name(), Seen()

    @setup.subscriber(name, batch=True)
    async def handle(numbers: list[int], records: Annotated[Any, Context("message.raw_message")]) -> None:
        for number, record in zip(numbers, records, strict=True):
            with asyncdsm.using(record) as pathway:
                count.add((number, pathway))

    async with run_broker(setup):
        for number in range(3):
            current.set_current(Pathway(90 + number, 1, 1))
            await setup.broker.publish(number, name)
        seen = await count.wait_for(3)
    hashes = {made.parent: made.hash for made in captured_streams.produced(name)}
    expected = {made.parent: made.hash for made in captured_streams.consumed(name)}
    assert {number: pathway.hash for number, pathway in seen} == {
        number: expected[hashes[90 + number]] for number in range(3)
    }
    times = sorted(made.time_ns for made in captured_streams.consumed(name))
    assert sorted(pathway.edge_start_ns for _, pathway in seen) == times  # when it was consumed, not when it was asked


async def test_messages_of_a_test_broker_are_followed(captured_streams: Captured) -> None:
    broker: Any = KafkaBroker(middlewares=[DataStreamsMiddleware], logger=None)

    @broker.subscriber("first")
    @broker.publisher("second")
    async def pass_on(number: int) -> int:
        return number

    @broker.subscriber("second")
    async def end(number: int) -> None:
        pass

    async with TestKafkaBroker(broker):
        await broker.publish(1, "first")
        assert asyncdsm.current_pathway() is None
    (out,), (into,) = captured_streams.produced("first"), captured_streams.consumed("first")
    (passed,), (ended,) = captured_streams.produced("second"), captured_streams.consumed("second")
    assert into.follows(out)
    assert passed.follows(into)
    assert ended.follows(passed)
