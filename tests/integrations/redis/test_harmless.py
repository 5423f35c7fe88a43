"""redis-py and valkey-py: an error of asyncdsm does not reach the program, and methods look as they did."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from typing import Any

import asyncdsm_redis.consume
import asyncdsm_redis.produce
import pytest

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.testing import Captured
from tests.integrations.redis.clients import Name, Package, entries_of


async def test_error_in_a_hook_does_not_reach_the_program(
    package: Package, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    stream = name()
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        monkeypatch.setattr(asyncdsm_redis.produce, "begin_produce", broken)
        monkeypatch.setattr(asyncdsm_redis.consume, "consume", broken)
        client = asyncdsm.wrap(package.connect())
        await client.xadd(stream, {"a": 1})
        async with client.pipeline() as pipeline:
            pipeline.xadd(stream, {"a": 2}).xread({stream: "0"})
            _, read = await pipeline.execute()
        assert [fields for _, fields in entries_of(read)] == [{b"a": b"1"}, {b"a": b"2"}]
        assert len(entries_of(await client.xread({stream: "0"}))) == 2
        assert (streams.stats.errors, streams.stats.recorded) == (4, 0)
        await client.aclose()


async def test_hooks_keep_signature_and_docstring(client: Any, blocking: Any) -> None:
    methods = [
        *((owner, name) for owner in (client, blocking) for name in ("execute_command", "pipeline", "client")),
        *((owner.pipeline(), name) for owner in (client, blocking) for name in ("execute_command", "execute")),
    ]
    for owner, name in methods:
        hooked, original = getattr(owner, name), inspect.unwrap(getattr(type(owner), name))
        assert asyncio.iscoroutinefunction(original) == asyncio.iscoroutinefunction(hooked)
        assert hooked.__doc__ == original.__doc__
        assert list(inspect.signature(hooked).parameters) == list(inspect.signature(original).parameters)[1:]


async def test_arguments_that_a_later_release_adds_reach_the_client(
    package: Package, captured_streams: Captured, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    got, (async_client, async_pipeline) = list[Any](), package.classes[2:]

    def with_later(original: Any) -> Any:
        async def call(*args: Any, later: Any = None, **kwargs: Any) -> Any:
            got.append(later)
            return await original(*args, **kwargs)

        return call

    monkeypatch.setattr(async_client, "execute_command", with_later(vars(async_client)["execute_command"]))
    monkeypatch.setattr(async_pipeline, "execute", with_later(vars(async_pipeline)["execute"]))
    client, stream = asyncdsm.wrap(package.connect()), name()
    await client.execute_command("XADD", stream, "*", "a", 1, later=1)
    await client.execute_command("XREAD", "STREAMS", stream, "0", later=2)
    await client.pipeline().xadd(stream, {"a": 1}).execute(later=3)
    assert got == [1, 2, 3]
    assert len(captured_streams.checkpoints) == 3
    await client.aclose()


@pytest.mark.parametrize(
    "made", [None, "text", 7, [], [None], [[None, None]], [["s", 1]], {"s": 1}, {"s": [None]}, [[1]]]
)
async def test_answer_of_the_program_s_own_callback_passes(
    package: Package, captured_streams: Captured, name: Name, made: Any
) -> None:
    """A program may replace how the client parses an answer."""
    client, stream = asyncdsm.wrap(package.connect()), name()
    for command in ("XREAD", "XREADGROUP", "XRANGE", "XCLAIM", "XAUTOCLAIM"):
        client.set_response_callback(command, lambda *_, **__: made)
    await client.xgroup_create(stream, "workers", "0", mkstream=True)
    await client.xadd(stream, {"a": 1})
    assert await client.xread({stream: "0"}) is made
    assert await client.xreadgroup("workers", "me", {stream: ">"}) is made
    assert await client.xrange(stream) is made
    assert await client.xclaim(stream, "workers", "me", 0, ["1-1"]) is made
    assert await client.xautoclaim(stream, "workers", "me", 0) is made
    assert captured_streams.consumed() == []
    await client.aclose()


@pytest.mark.parametrize(
    "arguments",
    [(), (None,), ([],), (7,), ("XADD",), ("XADD", "s"), ("XADD", "s", "MAXLEN"), ("XREAD",), ("XREADGROUP", "GROUP")],
)
async def test_command_that_the_client_or_the_server_refuses_is_refused_as_before(
    client: Any, bare: Any, captured_streams: Captured, arguments: tuple[Any, ...]
) -> None:
    errors = list[str]()
    for each in (client, bare):
        with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever the client says
            await each.execute_command(*arguments)
        errors.append(repr(caught.value))
    assert errors[0] == errors[1]
    assert captured_streams.checkpoints == []


async def test_cancelled_read_loses_no_entry(package: Package, captured_streams: Captured, name: Name) -> None:
    stream, seen, client = name(), list[bytes](), asyncdsm.wrap(package.connect())
    await client.xgroup_create(stream, "workers", "0", mkstream=True)
    for number in range(50):
        task = asyncio.create_task(client.xreadgroup("workers", "me", {stream: ">"}, block=1000))
        await asyncio.sleep(0.001 * (number % 3))
        task.cancel()
        await asyncio.wait([task])
        await client.xadd(stream, {"a": number})
        if not task.cancelled():
            seen += [entry_id for entry_id, _ in entries_of(task.result())]
    while entries := entries_of(await client.xreadgroup("workers", "me", {stream: ">"})):
        seen += [entry_id for entry_id, _ in entries]
    # What the server sends to a call that was cancelled, the group has given to this consumer all the same.
    assert len(captured_streams.consumed()) == len(seen)
    assert (await client.xpending(stream, "workers"))["pending"] == 50
    await client.aclose()


async def is_freed_at_once(client: Any, stream: str) -> bool:
    """Say whether a pipeline of a client needs no garbage collection when it was executed."""
    gc.collect()
    gc.disable()
    try:
        pipeline = client.pipeline()
        await pipeline.xadd(stream, {"a": 1}).execute()
        gone = weakref.ref(pipeline)
        del pipeline
        await asyncio.sleep(0)
        return gone() is None
    finally:
        gc.enable()


async def test_pipelines_of_a_wrapped_client_are_freed_as_early_as_others(client: Any, bare: Any, name: Name) -> None:
    """Not at once on Python 3.13, where redis-py's own retries keep them."""
    assert await is_freed_at_once(client, name()) == await is_freed_at_once(bare, name())
