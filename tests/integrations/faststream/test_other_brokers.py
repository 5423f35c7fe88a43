"""FastStream's brokers for NATS, Redis and MQTT: every way of passing a message on, on real servers."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream.mqtt import MQTTBroker, TestMQTTBroker
from faststream.nats import NatsBroker, TestNatsBroker
from faststream.redis import RedisBroker, TestRedisBroker

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.mosquitto import Mosquitto
from tests.brokers.nats import NatsServer
from tests.integrations.faststream.brokers import Seen
from tests.integrations.faststream.ways import GROUP, WAYS, Way, make_name

for kind in (TestMQTTBroker, TestNatsBroker, TestRedisBroker):
    kind.__test__ = False


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> Way:
    """Return each way in turn."""
    return WAYS[request.param]


@pytest.fixture
def broker(request: pytest.FixtureRequest, way: Way, options: dict[str, Any]) -> Any:
    """Return a broker, in both ways of being followed."""
    if way.kind == "nats":
        server: NatsServer = request.getfixturevalue("nats")
        return NatsBroker(server.url, **options)
    if way.kind == "redis":
        return RedisBroker(request.getfixturevalue("redis"), **options)
    mosquitto: Mosquitto = request.getfixturevalue("mosquitto")
    return MQTTBroker("127.0.0.1", port=mosquitto.port, **options)


async def test_message_and_what_its_handler_publishes_are_one_pathway(
    way: Way, broker: Any, captured_streams: Captured
) -> None:
    first, second, count = make_name(), make_name(), Seen()

    @broker.subscriber(**way.source(first))
    async def pass_on(number: int) -> None:
        assert asyncdsm.current_pathway() is not None
        await broker.publish(number + 1, **way.target(second))

    @broker.subscriber(**way.source(second))
    async def end(number: int) -> None:
        count.add(number)

    given = {"mine": "x"}
    async with broker:
        await broker.start()
        for number in range(3):
            await broker.publish(number, **way.target(first), headers=given)
        assert await count.wait_for(3) == [1, 2, 3]
    assert given == {"mine": "x"}
    assert asyncdsm.current_pathway() is None
    out, into = captured_streams.produced(first), captured_streams.consumed(first)
    passed, ended = captured_streams.produced(second), captured_streams.consumed(second)
    assert [len(made) for made in (out, into, passed, ended)] == [3, 3, 3, 3]
    assert {made.tag("type") for made in captured_streams.checkpoints} == {way.kind}
    assert {made.parent for made in out} == {0}
    for before, after in zip((out, into, passed), (into, passed, ended), strict=True):
        assert all(made.follows(before[0]) for made in after)
    assert {made.tag("group") for made in into} == {GROUP if way.has_group else None}
    assert all(made.size for made in into)


async def test_concurrent_handlers_each_have_the_pathway_of_their_message(
    way: Way, broker: Any, captured_streams: Captured
) -> None:
    name, other, count, many = make_name(), make_name(), Seen(), 40
    workers: dict[str, Any] = {} if way is WAYS["pull"] else {"max_workers": 10}

    @broker.subscriber(**way.source(name), **workers)
    async def handle(number: int) -> None:
        before = asyncdsm.current_pathway()
        await asyncio.sleep(0.001 * (number % 7))
        assert asyncdsm.current_pathway() == before
        await broker.publish(number, **_unread(way, other))
        count.add((number, before))

    async with broker:
        await broker.start()
        for number in range(many):
            with current.restored(Pathway(1000 + number, 1, 1)):
                await broker.publish(number, **way.target(name))
        seen = await count.wait_for(many)
    sent = {made.parent - 1000: made.hash for made in captured_streams.produced(name)}
    came = {made.parent: made.hash for made in captured_streams.consumed(name)}
    assert len({pathway.hash for _, pathway in seen}) == many
    assert all(pathway.hash == came[sent[number]] for number, pathway in seen)
    assert {made.parent for made in captured_streams.produced(other)} == set(came.values())


def _unread(way: Way, name: str) -> dict[str, Any]:
    """Return where to publish what nobody reads: not to a JetStream that nobody has declared."""
    target = way.target(name)
    if way.kind == "nats":
        target.pop("stream", None)
    return target


async def test_get_one_and_iteration_make_their_message_current(
    way: Way, broker: Any, captured_streams: Captured
) -> None:
    name = make_name()
    subscriber = broker.subscriber(**way.source(name))
    async with broker:
        await broker.start()
        getting = asyncio.create_task(subscriber.get_one(timeout=5))
        await asyncio.sleep(0.3)  # until it has subscribed: channels and topics keep nothing
        await broker.publish(0, **way.target(name))
        message = await getting
        assert HEADER in message.headers
        with asyncdsm.using(message) as pathway:
            assert pathway is not None
        seen = Seen()

        async def iterate() -> None:
            async for _ in subscriber:
                seen.add(asyncdsm.current_pathway())

        iterating = asyncio.create_task(iterate())
        await asyncio.sleep(0.3)
        for number in range(2):
            await broker.publish(number, **way.target(name))
        pathways = [pathway, *await seen.wait_for(2)]
        await asyncio.sleep(0.1)  # redis-py does not notice at once that a read which has just begun is cancelled
        iterating.cancel()
        await asyncio.gather(iterating, return_exceptions=True)
    consumed = captured_streams.consumed(name)
    assert [made.hash for made in consumed] == [each and each.hash for each in pathways]
    assert {made.parent for made in consumed} == {captured_streams.produced(name)[0].hash}
    if way.kind == "redis":
        assert {made.tag("group") for made in consumed} == {GROUP if way.has_group else None}


@pytest.mark.parametrize(
    ("kind", "test_kind", "options"),
    [
        (NatsBroker, TestNatsBroker, [{"subject": "first"}]),
        (RedisBroker, TestRedisBroker, [{"channel": "first"}, {"list": "first"}, {"stream": "first"}]),
        (MQTTBroker, TestMQTTBroker, [{"topic": "first"}]),
    ],
)
async def test_messages_of_a_test_broker_are_followed(
    captured_streams: Captured, kind: Any, test_kind: Any, options: list[dict[str, str]]
) -> None:
    for each in options:
        captured_streams.clear()
        broker = kind(middlewares=[DataStreamsMiddleware], logger=None)

        @broker.subscriber(**each)
        async def handle(number: int) -> None:
            assert asyncdsm.current_pathway() is not None

        async with test_kind(broker):
            await broker.publish(1, **each)
            assert asyncdsm.current_pathway() is None
        (out,), (into,) = captured_streams.produced(), captured_streams.consumed()
        assert into.follows(out)
