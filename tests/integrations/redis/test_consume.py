"""redis-py and valkey-py: what a consumer reads counts once, without our field; looking at a stream does not count."""

from __future__ import annotations

import asyncio
from time import time_ns
from typing import Any

import pytest

import asyncdsm
from asyncdsm import DataStreams, Pathway, Settings
from asyncdsm.testing import Captured
from tests.integrations.redis.clients import FIELD, Name, Package, entries_of

OPTIONS = [
    {},
    {"decode_responses": True},
    {"protocol": 3},
    {"protocol": 3, "decode_responses": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=["bytes", "strings", "RESP3", "RESP3, strings"])
@pytest.mark.parametrize("count", [1, 3])
async def test_our_field_does_not_reach_the_reader(
    package: Package, captured_streams: Captured, name: Name, options: dict[str, Any], count: int
) -> None:
    stream, client = name(), asyncdsm.wrap(package.connect(**options))
    for number in range(count):
        await client.xadd(stream, {"a": number})
    await client.xgroup_create(stream, "workers", "0")
    bare = package.connect(**options)
    expected = [
        (entry_id, {key: fields[key] for key in list(fields)[:1]}) for entry_id, fields in await bare.xrange(stream)
    ]
    read = await client.xreadgroup("workers", "me", {stream: ">"})
    assert repr(type(read)) == repr(type(await bare.xread({stream: "0"})))
    claimed = (await client.xautoclaim(stream, "workers", "you", 0))[1]
    by_id = await client.xclaim(stream, "workers", "you", 0, [entry_id for entry_id, _ in expected])
    history = await client.xreadgroup("workers", "you", {stream: "0"})
    again = await client.xread({stream: "0"})
    for entries in (entries_of(read), claimed, by_id, entries_of(history), entries_of(again)):
        assert list(entries) == expected
        assert all(type(fields) is dict for _, fields in entries)
    assert await client.xrange(stream) == await client.xrevrange(stream, count=count) or count > 1
    assert await client.xrange(stream) == expected
    assert await client.xrevrange(stream) == expected[::-1]
    assert len(captured_streams.consumed()) == 5 * count
    await client.aclose()
    await bare.aclose()


async def test_answer_that_the_client_does_not_parse_has_no_field_of_ours(
    client: Any, bare: Any, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    await client.xadd(stream, {"a": 1})
    await client.xadd(stream, {"a": 2})
    result = await client.execute_command(b"XREAD", b"COUNT", 1, "streams", stream, "0")
    ((_, fields),) = entries_of(result)
    assert fields == [b"a", b"1"]
    assert asyncdsm.current_pathway() is not None
    assert [fields for _, fields in await client.execute_command(b"XRANGE", stream, "-", "+")] == [
        [b"a", b"1"],
        [b"a", b"2"],
    ]
    assert len(captured_streams.consumed()) == 1


async def test_edge_has_the_stream_and_the_group(client: Any, captured_streams: Captured, name: Name) -> None:
    stream = name()
    await client.xadd(stream, {"a": 1})
    await client.xgroup_create(stream, "workers", "0")
    await client.xreadgroup("workers", "me", {stream.encode(): ">"})
    await client.xread({stream: "0"})
    (sent,) = captured_streams.produced()
    assert [made.tags for made in captured_streams.consumed()] == [
        ("direction:in", "group:workers", f"topic:{stream}", "type:redis"),
        ("direction:in", f"topic:{stream}", "type:redis"),
    ]
    assert {made.parent for made in captured_streams.consumed()} == {sent.hash}
    assert {made.size for made in captured_streams.consumed()} == {sent.size}


async def test_entries_of_several_streams_become_current_in_turn(client: Any, bare: Any, name: Name) -> None:
    one, two = name(), name()
    for number, stream in enumerate((one, two)):
        await bare.xadd(stream, {"a": 1, FIELD: Pathway(number + 1, 1, 1).encode_base64()})
    result = await client.xread({one: "0", two: "0"})
    assert asyncdsm.current_pathway() is None
    seen = set[int]()
    for _, entries in result:
        for _ in entries:
            pathway = asyncdsm.current_pathway()
            assert pathway is not None
            seen.add(pathway.hash)
        assert asyncdsm.current_pathway() is None
    assert len(seen) == 2


async def test_entry_of_somebody_else_begins_when_the_server_added_it(client: Any, bare: Any, name: Name) -> None:
    stream = name()
    entry_id = await bare.xadd(stream, {"a": 1})
    await asyncio.sleep(0.01)
    await client.xread({stream: "0"})
    pathway = asyncdsm.current_pathway()
    assert pathway is not None
    assert pathway.pathway_start_ns == int(entry_id.split(b"-")[0]) * 1_000_000


@pytest.mark.parametrize("entry_id", ["1-1", "1700000-7", f"{(1 << 64) - 1}-0"])
async def test_id_that_is_no_time_is_ignored(client: Any, bare: Any, name: Name, entry_id: str) -> None:
    stream, before = name(), time_ns()
    await bare.xadd(stream, {"a": 1}, id=entry_id)
    await client.xread({stream: "0"})
    pathway = asyncdsm.current_pathway()
    assert pathway is not None
    assert pathway.pathway_start_ns >= before


async def test_looking_at_a_stream_is_no_consume_and_using_continues_the_entry(
    client: Any, captured_streams: Captured, name: Name
) -> None:
    stream, other = name(), name()
    for number in range(3):
        await client.xadd(stream, {"a": number})
    await client.xread({stream: "0"}, count=1)
    current = asyncdsm.current_pathway()
    entries = await client.xrange(stream)
    assert asyncdsm.current_pathway() is current
    assert type(entries) is list
    sent = captured_streams.produced()
    with asyncdsm.using(entries[1]):
        await client.xadd(other, {"a": 1})
    assert [made.parent for made in captured_streams.produced(other)] == [sent[1].hash]
    assert len(captured_streams.consumed()) == 1


async def test_entries_that_were_delivered_before_are_counted_as_redeliveries(
    client: Any, bare: Any, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    await client.xgroup_create(stream, "workers", "0", mkstream=True)
    for number in range(3):
        await client.xadd(stream, {"a": number})
    await client.xreadgroup("workers", "me", {stream: ">"})
    assert redeliveries(captured_streams) == 0
    await client.xreadgroup("workers", "me", {stream: "0"})
    assert redeliveries(captured_streams) == 3
    await client.xautoclaim(stream, "workers", "you", 0)
    assert redeliveries(captured_streams) == 3
    (entry_id, _), *_ = await bare.xrange(stream)
    await client.xclaim(stream, "workers", "me", 0, [entry_id])
    assert redeliveries(captured_streams) == 1
    assert len(captured_streams.consumed()) == 3 + 3 + 3 + 1


def redeliveries(captured: Captured) -> int:
    """Return how many redeliveries were counted since the last call."""
    return sum(facts.redelivered for batch in captured.facts.take(None) for facts in batch.edges.values())


async def test_ids_alone_and_deleted_entries_count_as_nothing(
    client: Any, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    await client.xgroup_create(stream, "workers", "0", mkstream=True)
    entry_id = await client.xadd(stream, {"a": 1})
    await client.xreadgroup("workers", "me", {stream: ">"})
    captured_streams.clear()
    assert await client.xclaim(stream, "workers", "you", 0, [entry_id], justid=True) == [entry_id]
    assert await client.xautoclaim(stream, "workers", "me", 0, justid=True) == [entry_id]
    await client.xdel(stream, entry_id)
    assert entries_of(await client.xreadgroup("workers", "me", {stream: "0"})) in ([(entry_id, {})], [(entry_id, None)])
    await client.xautoclaim(stream, "workers", "you", 0)
    assert captured_streams.consumed() == []


async def test_entry_gathered_by_another_task_is_followed_in_its_list(client: Any, name: Name) -> None:
    streams = [name() for _ in range(3)]
    for stream in streams:
        await client.xadd(stream, {"a": 1})
    for result in await asyncio.gather(*[client.xread({stream: "0"}) for stream in streams]):
        assert asyncdsm.current_pathway() is None
        for _ in entries_of(result):
            assert asyncdsm.current_pathway() is not None


@pytest.mark.parametrize("value", ["", "no context", "AAAA", "é", b"\xff" * 28, "x" * 1000])
async def test_malformed_context_begins_a_pathway(
    client: Any, bare: Any, captured_streams: Captured, name: Name, value: Any
) -> None:
    stream = name()
    await bare.xadd(stream, {"a": 1, FIELD: value})
    ((_, fields),) = entries_of(await client.xread({stream: "0"}))
    assert fields == {b"a": b"1"}
    assert [made.parent for made in captured_streams.consumed()] == [0]


async def test_field_is_taken_off_while_nothing_measures(bare: Any, name: Name) -> None:
    stream = name()
    await bare.xadd(stream, {"a": 1, FIELD: Pathway(1, 1, 1).encode_base64()})
    silent = asyncdsm.wrap(bare)
    async with DataStreams(Settings(enabled=False)):
        for result in (await silent.xread({stream: "0"}), [[stream, await silent.xrange(stream)]]):
            ((_, fields),) = entries_of(result)
            assert fields == {b"a": b"1"}
    assert asyncdsm.current_pathway() is None
