"""FastStream's brokers for NATS, Redis and MQTT beside their clients: each message counts once, on one edge."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import nats as nats_client
import pytest
from aiomqtt import Client as MqttClient
from asyncdsm_faststream import DataStreamsMiddleware
from faststream.mqtt import MQTTBroker
from faststream.nats import NatsBroker, PullSub
from faststream.redis import ListSub, RedisBroker, StreamSub
from redis.asyncio import Redis
from redis.driver_info import DriverInfo

import asyncdsm
from asyncdsm import DataStreams, Pathway, Settings
from asyncdsm.core.context import HEADER
from asyncdsm.integration import Edge, begin_produce, consume
from asyncdsm.testing import Captured
from tests.brokers.mosquitto import Mosquitto
from tests.brokers.nats import NatsServer
from tests.integrations.aiomqtt.clients import make_client, take
from tests.integrations.faststream.brokers import Seen
from tests.integrations.faststream.ways import WAYS, Way, make_name
from tests.integrations.nats.clients import flush

OPTIONS: dict[str, Any] = {"middlewares": [DataStreamsMiddleware], "logger": None}


@pytest.mark.parametrize("way", [WAYS[name] for name in ("core", "queue", "push", "pull")])
async def test_message_counts_once_if_nats_py_is_followed_too(
    nats: NatsServer, captured_streams: Captured, way: Way
) -> None:
    first, second, count = make_name(), make_name(), Seen()
    asyncdsm.instrument("nats")
    try:
        broker = NatsBroker(nats.url, **OPTIONS)

        @broker.subscriber(**way.source(first))
        async def pass_on(number: int) -> None:
            count.add(asyncdsm.current_pathway())
            await broker.publish(number, second)

        async with broker:
            await broker.start()
            for number in range(3):
                await broker.publish(number, **way.target(first))
            await count.wait_for(3)
            await asyncio.sleep(0.05)
    finally:
        asyncdsm.uninstrument("nats")
    sent, read, passed = (
        captured_streams.produced(first),
        captured_streams.consumed(),
        captured_streams.produced(second),
    )
    assert [len(sent), len(read), len(passed)] == [3, 3, 3]
    assert [made.hash for made in read] == [pathway.hash for pathway in count.seen]
    assert {made.parent for made in passed} == {made.hash for made in read}


@pytest.mark.parametrize("way", [WAYS[name] for name in ("stream", "group")])
@pytest.mark.parametrize("has_handler", [True, False])
async def test_clients_below_count_neither_what_is_read_nor_what_is_added(
    redis: str, captured_streams: Captured, monkeypatch: pytest.MonkeyPatch, way: Way, has_handler: bool
) -> None:
    """As an integration of redis-py does it, which counts entries in the methods of its client."""
    name, count, below = make_name(), Seen(), Edge("direction:in", "topic:below", "type:redis")

    def count_call(method: str) -> None:
        original = getattr(Redis, method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            result = await original(*args, **kwargs)
            made = begin_produce(below) if method == "xadd" else consume(below)
            if made is not None:
                count.add("counted below")
            return result

        monkeypatch.setattr(Redis, method, call)

    for method in ("xadd", "xread", "xreadgroup"):
        count_call(method)
    broker = RedisBroker(redis, **OPTIONS)
    subscriber = broker.subscriber(**way.source(name))
    if has_handler:

        @subscriber
        async def handle(number: int) -> None:
            count.add(asyncdsm.current_pathway())

    async with broker:
        await broker.start()
        await broker.publish(1, **way.target(name))
        if not has_handler:
            await subscriber.get_one(timeout=5)
            count.add(asyncdsm.current_pathway())
        (pathway,) = await count.wait_for(1)
    (sent,), (read,) = captured_streams.produced(), captured_streams.consumed()
    assert read.follows(sent)
    assert pathway.hash == read.hash


async def test_nats_py_and_the_broker_meet_on_one_edge(nats: NatsServer, captured_streams: Captured) -> None:
    first, second, count = make_name(), make_name(), Seen()
    client = asyncdsm.wrap(await nats_client.connect(nats.url))
    subscription = await client.subscribe(second)
    await flush(client)
    broker = NatsBroker(nats.url, **OPTIONS)

    @broker.subscriber(first)
    @broker.publisher(second)
    async def pass_on(number: int) -> int:
        count.add(number)
        return number

    async with broker:
        await broker.start()
        await flush(broker.config.connection_state.connection)  # the server has its subscription before the message
        await client.publish(first, b"1")
        await subscription.next_msg(timeout=10)
    await client.close()
    assert follow_each_other(captured_streams) == [first, first, second, second]


async def test_aiomqtt_and_the_broker_meet_on_one_edge(mosquitto: Mosquitto, captured_streams: Captured) -> None:
    first, second, count = make_name(), make_name(), Seen()
    broker = MQTTBroker("127.0.0.1", port=mosquitto.port, **OPTIONS)

    @broker.subscriber(first)
    @broker.publisher(second)
    async def pass_on(number: int) -> int:
        count.add(number)
        return number

    async with asyncdsm.wrap(make_client(mosquitto)) as client, broker:
        await broker.start()
        await client.subscribe(second)
        await client.publish(first, b"1")
        await take(client)
    assert follow_each_other(captured_streams) == [first, first, second, second]


def follow_each_other(captured: Captured) -> list[str | None]:
    """Check that all checkpoints are one pathway, and return their topics."""
    made = captured.checkpoints
    assert all(after.follows(before) for before, after in pairwise(made))
    return [each.topic for each in made]


async def test_entry_of_redis_py_with_a_context_in_a_field_is_continued(redis: str, captured_streams: Captured) -> None:
    name, count = make_name(), Seen()
    broker = RedisBroker(redis, **OPTIONS)

    @broker.subscriber(stream=StreamSub(name, last_id="0", polling_interval=20))
    async def handle(entry: Any) -> None:
        count.add(entry)

    async with broker, Redis.from_url(redis, driver_info=DriverInfo(lib_version="0")) as client:
        await client.xadd(name, {"body": "1", HEADER: Pathway(99, 1, 1).encode_base64()})
        added: Any = await client.xadd(name, {"body": "2"})
        await broker.start()
        await count.wait_for(2)
    first, second = captured_streams.consumed(name)
    assert (first.parent, second.parent) == (99, 0)
    added_at = int(added.partition(b"-")[0]) / 1e3
    assert second.pathway_latency == pytest.approx(second.time_ns / 1e9 - added_at, abs=0.002)


async def test_every_message_of_a_batch_counts(redis: str, nats: NatsServer, captured_streams: Captured) -> None:
    count, names = Seen(), [make_name() for _ in range(3)]

    async def handle(numbers: list[int]) -> None:
        for number in numbers:
            count.add((number, asyncdsm.current_pathway() is None or len(numbers) == 1))

    on_redis, on_nats = RedisBroker(redis, **OPTIONS), NatsBroker(nats.url, **OPTIONS)
    on_redis.subscriber(list=ListSub(names[0], batch=True, polling_interval=0.02))(handle)
    on_redis.subscriber(stream=StreamSub(names[1], batch=True, last_id="0", polling_interval=20))(handle)
    pull = PullSub(batch_size=3, batch=True, timeout=10)
    on_nats.subscriber(names[2], stream=names[2], durable="workers", pull_sub=pull)(handle)
    async with on_redis, on_nats:
        await on_redis.publish_batch(1, 2, 3, list=names[0])
        for number in range(3):
            await on_redis.publish(number, stream=names[1])
        await on_redis.start()
        await on_nats.start()
        for number in range(3):
            await on_nats.publish(number, names[2], stream=names[2])
        seen = await count.wait_for(9)
    assert all(is_right for _, is_right in seen)
    for name in names:
        sent, read = captured_streams.produced(name), captured_streams.consumed(name)
        assert (len(sent), len(read)) == (3, 3)
        assert {made.parent for made in read} == {sent[0].hash}


async def test_requests_count_and_their_replies_do_not(
    redis: str, nats: NatsServer, mosquitto: Mosquitto, captured_streams: Captured
) -> None:
    brokers: dict[str, Any] = {
        "subject": NatsBroker(nats.url, **OPTIONS),
        "channel": RedisBroker(redis, **OPTIONS),
        "topic": MQTTBroker("127.0.0.1", port=mosquitto.port, **OPTIONS),
    }
    for kind, broker in brokers.items():
        name = make_name()
        captured_streams.clear()

        @broker.subscriber(**{kind: name})
        async def answer(number: int) -> int:
            return number + 1

        async with broker:
            await broker.start()
            where: Any = {"channel": name} if kind == "channel" else {}
            reply = await broker.request(1, *(() if where else (name,)), **where, timeout=10)
            assert int(await reply.decode()) == 2
            assert asyncdsm.current_pathway() is None
        assert [made.topic for made in captured_streams.checkpoints] == [name, name]


async def test_watch_of_a_store_is_left_alone(nats: NatsServer, captured_streams: Captured) -> None:
    broker, bucket, count = NatsBroker(nats.url, **OPTIONS), make_name(), Seen()

    @broker.subscriber("key", kv_watch=bucket)
    async def handle(value: str) -> None:
        count.add((value, asyncdsm.current_pathway()))

    async with broker:
        await broker.start()
        store = await broker.key_value(bucket)
        await store.put("key", b"value")
        assert await count.wait_for(1) == [("value", None)]
    assert captured_streams.checkpoints == []


async def test_message_before_mqtt_5_counts_and_goes_without_a_context(mosquitto: Mosquitto) -> None:
    name, count = make_name(), Seen()
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        broker = MQTTBroker("127.0.0.1", port=mosquitto.port, version="3.1.1", **OPTIONS)

        @broker.subscriber(name)
        async def handle(number: int) -> None:
            count.add(asyncdsm.current_pathway())

        async with broker:
            await broker.start()
            await broker.publish(1, name)
            await count.wait_for(1)
        assert (streams.stats.recorded, streams.stats.not_propagated, streams.stats.errors) == (2, 1, 0)


async def test_retained_message_begins_a_pathway(mosquitto: Mosquitto, captured_streams: Captured) -> None:
    name, count = make_name(), Seen()
    broker = MQTTBroker("127.0.0.1", port=mosquitto.port, **OPTIONS)

    @broker.subscriber(name)
    async def handle(number: int) -> None:
        count.add(number)

    async with broker:
        await broker.publish(1, name, retain=True)
        await asyncio.sleep(0.05)
        await broker.start()
        await count.wait_for(1)
    async with MqttClient("127.0.0.1", mosquitto.port) as client:
        await client.publish(name, b"", retain=True)  # removes it
    assert captured_streams.consumed(name)[0].parent == 0


async def test_message_without_a_body_counts(redis: str, captured_streams: Captured) -> None:
    async with RedisBroker(redis, **OPTIONS) as broker:
        await broker.publish(None, list=(name := make_name()))
    assert len(captured_streams.produced(name)) == 1
