"""Pipelines of redis-py and valkey-py: what they add and read counts when they are executed."""

from __future__ import annotations

from collections.abc import Iterator
from time import sleep
from typing import Any

import pytest

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.testing import Captured
from tests.brokers.process import free_port
from tests.brokers.redis import RedisServer, find_redis, redis_server
from tests.integrations.redis.clients import FIELD, Name, Package, entries_of

KINDS = pytest.mark.parametrize("transaction", [True, False])


@KINDS
async def test_entry_has_the_parent_of_its_command(
    client: Any, captured_streams: Captured, name: Name, *, transaction: bool
) -> None:
    stream = name()
    async with client.pipeline(transaction=transaction) as pipeline:
        for number in range(3):
            with current.restored(Pathway(number + 1, 1, 1)):
                assert pipeline.xadd(stream, {"a": number}) is pipeline
            pipeline.get("a")
        results = await pipeline.execute()
    assert [result is None for result in results] == [False, True] * 3
    assert [made.parent for made in captured_streams.produced(stream)] == [1, 2, 3]


@KINDS
def test_blocking_pipeline_counts_what_it_adds_and_reads(
    blocking: Any, captured_streams: Captured, name: Name, *, transaction: bool
) -> None:
    stream, other = name(), name()
    with blocking.pipeline(transaction=transaction) as pipeline:
        pipeline.xadd(stream, {"a": 1})
        pipeline.xgroup_create(stream, "workers", "0")
        pipeline.xreadgroup("workers", "me", {stream: ">"})
        results = pipeline.execute()
    ((_, fields),) = entries_of(results[2])
    assert fields == {b"a": b"1"}
    parent = asyncdsm.current_pathway()
    blocking.xadd(other, {"a": 1})
    (read,) = captured_streams.consumed(stream)
    assert parent is not None
    assert [made.parent for made in captured_streams.produced(other)] == [parent.hash] == [read.hash]


@KINDS
async def test_entries_of_several_commands_become_current_in_turn(
    client: Any, bare: Any, captured_streams: Captured, name: Name, *, transaction: bool
) -> None:
    one, two = name(), name()
    for number, stream in enumerate((one, two), 1):
        await bare.xadd(stream, {"a": 1, FIELD: Pathway(number, 1, 1).encode_base64()})
    async with client.pipeline(transaction=transaction) as pipeline:
        pipeline.xread({one: "0"}).xread({two: "0"}).xrange(one)
        first, second, history = await pipeline.execute()
    assert asyncdsm.current_pathway() is None
    by_stream = {made.topic: made for made in captured_streams.consumed()}
    assert [by_stream[stream].parent for stream in (one, two)] == [1, 2]
    for result, stream in ((first, one), (second, two)):
        for _, fields in entries_of(result):
            pathway = asyncdsm.current_pathway()
            assert pathway is not None
            assert (pathway.hash, fields) == (by_stream[stream].hash, {b"a": b"1"})
    assert [fields for _, fields in history] == [{b"a": b"1"}]
    assert asyncdsm.current_pathway() is None


@KINDS
@pytest.mark.parametrize("raise_on_error", [True, False])
async def test_entries_before_and_after_a_failed_command_count(
    client: Any, bare: Any, captured_streams: Captured, name: Name, *, transaction: bool, raise_on_error: bool
) -> None:
    stream, text = name(), name()
    await bare.set(text, "no stream")
    async with client.pipeline(transaction=transaction) as pipeline:
        pipeline.xadd(stream, {"a": 1}).xadd(text, {"a": 2}).xadd(stream, {"a": 3})
        if raise_on_error:
            with pytest.raises(Exception, match="WRONGTYPE"):
                await pipeline.execute()
        else:
            assert isinstance((await pipeline.execute(raise_on_error=False))[1], Exception)
    assert await bare.xlen(stream) == 2
    assert [made.topic for made in captured_streams.produced()] == [stream] * 2


def test_entries_of_a_blocking_pipeline_with_a_failed_command_count(
    blocking: Any, captured_streams: Captured, name: Name
) -> None:
    stream, text = name(), name()
    blocking.set(text, "no stream")
    with blocking.pipeline() as pipeline:
        pipeline.xadd(stream, {"a": 1}).xadd(text, {"a": 2})
        with pytest.raises(Exception, match="WRONGTYPE"):
            pipeline.execute()
    assert [made.topic for made in captured_streams.produced()] == [stream]


async def test_pipeline_that_is_reset_forgets_its_commands(
    client: Any, bare: Any, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    pipeline = client.pipeline()
    pipeline.get("a").xadd(stream, {"a": 1})
    await pipeline.reset()
    assert await pipeline.execute() == []
    pipeline.get("a").xadd(stream, {"a": 1})
    await pipeline.reset()
    await pipeline.get("a").get("b").execute()
    assert captured_streams.checkpoints == []
    await pipeline.xadd(stream, {"a": 1}).execute()
    assert len(captured_streams.produced()) == await bare.xlen(stream) == 1


async def test_transaction_that_is_tried_again_counts_once(
    client: Any, bare: Any, captured_streams: Captured, name: Name
) -> None:
    watched, stream, tries = name(), name(), list[int]()

    async def add(pipeline: Any) -> None:
        tries.append(1)
        if len(tries) < 3:
            await bare.set(watched, len(tries))
        await pipeline.get(watched)
        pipeline.multi()
        pipeline.xadd(stream, {"a": 1})

    await client.transaction(add, watched)
    assert len(tries) == 3
    assert len(captured_streams.produced()) == await bare.xlen(stream) == 1


async def test_pipeline_that_watches_keys_executes_at_once(client: Any, captured_streams: Captured, name: Name) -> None:
    watched, stream = name(), name()
    async with client.pipeline() as pipeline:
        await pipeline.watch(watched)
        assert await pipeline.xadd(stream, {"a": 1})
        ((_, fields),) = entries_of(await pipeline.xread({stream: "0"}))
        assert fields == {b"a": b"1"}
    assert [made.topic for made in captured_streams.checkpoints] == [stream] * 2


def test_blocking_pipeline_that_watches_keys_executes_at_once(
    blocking: Any, captured_streams: Captured, name: Name
) -> None:
    with blocking.pipeline() as pipeline:
        pipeline.watch(name())
        assert pipeline.xadd(stream := name(), {"a": 1})
    assert [made.topic for made in captured_streams.checkpoints] == [stream]


async def test_pipeline_itself_can_be_wrapped(bare: Any, captured_streams: Captured, name: Name) -> None:
    pipeline = bare.pipeline()
    kind = type(pipeline)
    assert asyncdsm.wrap(asyncdsm.wrap(pipeline)) is pipeline
    assert isinstance(pipeline, kind)
    assert type(pipeline).__qualname__ == kind.__qualname__
    await pipeline.xadd(name(), {"a": 1}).execute()
    await bare.pipeline().xadd(name(), {"a": 1}).execute()
    assert len(captured_streams.produced()) == 1


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisServer]:
    """A cluster of one server."""
    with redis_server(find_redis(), "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        client = Package("redis", server.url).connect_blocking()
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
            sleep(0.01)
        client.close()
        yield server


async def test_client_of_a_cluster_counts_each_entry_once(
    cluster: RedisServer, package: Package, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    client = asyncdsm.wrap(package.connect_cluster(cluster.url))
    await client.xadd(stream, {"a": 1})
    await client.pipeline().xadd(stream, {"a": 2}).get("b").execute()
    entries = entries_of(await client.xread({stream: "0"}))
    await client.aclose()
    assert [fields for _, fields in entries] == [{b"a": b"1"}, {b"a": b"2"}]
    sent, read = captured_streams.produced(stream), captured_streams.consumed(stream)
    assert (len(sent), [made.parent for made in read]) == (2, [made.hash for made in sent])


def test_blocking_client_of_a_cluster_counts_each_entry_once(
    cluster: RedisServer, package: Package, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    client = asyncdsm.wrap(package.connect_cluster_blocking(cluster.url))
    client.xadd(stream, {"a": 1})
    with client.pipeline() as pipeline:
        assert len(pipeline.xadd(stream, {"a": 2}).get("b").execute()) == 2
    entries = entries_of(client.xread({stream: "0"}))
    client.close()
    assert [fields for _, fields in entries] == [{b"a": b"1"}, {b"a": b"2"}]
    assert [made.topic for made in captured_streams.checkpoints] == [stream] * 4
