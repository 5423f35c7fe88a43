"""Entries that redis-py has added to a stream, read by FastStream: the context is in a field, which no handler sees."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import json
from typing import Any

import pytest
from faststream import Context
from faststream.redis import RedisBroker, StreamSub
from redis.asyncio import Redis

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.faststream.brokers import Seen
from tests.integrations.faststream.ways import GROUP, make_name

SOURCES: dict[str, dict[str, Any]] = {
    "stream": {"last_id": "0"},
    "group": {"group": GROUP, "consumer": "one"},
}


@pytest.fixture(params=list(SOURCES))
def source(request: pytest.FixtureRequest) -> StreamSub[Any]:
    """Return a stream to read, with a group and without."""
    return StreamSub(make_name(), polling_interval=20, **SOURCES[request.param])


async def add_entries(url: str, stream: str, count: int) -> None:
    """Add entries with a client that is followed."""
    async with Redis.from_url(url) as client:
        asyncdsm.wrap(client)
        await client.xgroup_create(stream, GROUP, "0", mkstream=True)
        for number in range(count):
            await client.xadd(stream, {"number": number})


def check_followed(captured: Captured, stream: str, count: int) -> None:
    """Check that each entry of a stream counts once and follows what was added."""
    sent, read = captured.produced(stream), captured.consumed(stream)
    assert (len(sent), len(read)) == (count, count)
    assert all(made.follows(sent[0]) for made in read)


async def test_handler_of_an_entry_has_its_pathway_and_does_not_see_the_field(
    redis: str, options: dict[str, Any], source: StreamSub[Any], captured_streams: Captured
) -> None:
    count = Seen()
    async with RedisBroker(redis, **options) as broker:

        @broker.subscriber(stream=source)
        async def handle(body: Any, message: Any = Context()) -> None:  # noqa: B008
            with asyncdsm.using(message) as pathway:
                count.add((body, message.raw_message["data"], asyncdsm.current_pathway() == pathway))

        await add_entries(redis, source.name, 3)
        await broker.start()
        seen = await count.wait_for(3)
    assert seen == [({"number": str(n)}, {b"number": b"%d" % n}, True) for n in range(3)]
    check_followed(captured_streams, source.name, 3)


async def test_batch_of_entries_follows_them_and_does_not_show_the_field(
    redis: str, options: dict[str, Any], source: StreamSub[Any], captured_streams: Captured
) -> None:
    count = Seen()
    async with RedisBroker(redis, **options) as broker:
        source.batch = True

        @broker.subscriber(stream=source)
        async def handle(bodies: list[Any], message: Any = Context()) -> None:  # noqa: B008
            for body, fields in zip(bodies, message.raw_message["data"], strict=True):
                count.add((body, fields))

        await add_entries(redis, source.name, 3)
        await broker.start()
        seen = await count.wait_for(3)
    assert seen == [({"number": str(n)}, {b"number": b"%d" % n}) for n in range(3)]
    check_followed(captured_streams, source.name, 3)


async def test_get_one_makes_the_pathway_of_an_entry_current(
    redis: str, options: dict[str, Any], source: StreamSub[Any], captured_streams: Captured
) -> None:
    async with RedisBroker(redis, **options) as broker:
        subscriber = broker.subscriber(stream=source)
        await add_entries(redis, source.name, 2)
        await broker.start()
        for number in range(2):
            message = await subscriber.get_one(timeout=5)
            assert message is not None
            assert json.loads(message.body) == {"number": str(number)}
            pathway = asyncdsm.current_pathway()
            assert pathway is not None
            assert pathway.hash == captured_streams.consumed(source.name)[-1].hash
    check_followed(captured_streams, source.name, 2)


async def test_handler_that_reads_entries_itself_does_not_see_the_field(
    redis: str, options: dict[str, Any], captured_streams: Captured
) -> None:
    """What FastStream reads keeps the field for the middleware. What the program reads, does not."""
    first, second, count = make_name(), make_name(), Seen()
    async with RedisBroker(redis, **options) as broker, Redis.from_url(redis) as client:
        asyncdsm.wrap(client)

        @broker.subscriber(stream=StreamSub(first, polling_interval=20, last_id="0"))
        async def handle(number: int) -> None:
            answer: Any = await client.xread({second: "0"})
            count.add([fields for entries in dict(answer).values() for _, fields in entries])

        await add_entries(redis, second, 2)
        await broker.publish(1, stream=first)
        await broker.start()
        assert await count.wait_for(1) == [[{b"number": b"0"}, {b"number": b"1"}]]
    check_followed(captured_streams, second, 2)
