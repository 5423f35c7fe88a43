"""redis-py and valkey-py: a program whose client is followed does not see the field, whichever way it looks."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.redis.clients import FIELD, Name, Package

OPTIONS = pytest.mark.parametrize(
    "options", [{}, {"decode_responses": True}, {"protocol": 3}, {"protocol": 3, "decode_responses": True}]
)


def look(info: Any) -> dict[str, Any]:
    """Return what XINFO STREAM says of a stream's entries, with what a client has not parsed as text."""
    pairs = info.items() if isinstance(info, dict) else zip(info[::2], info[1::2], strict=True)
    by_name = {key if isinstance(key, str) else key.decode(): value for key, value in pairs}
    return {key: by_name[key] for key in ("first-entry", "last-entry", "entries") if key in by_name}


async def ask(client: Any, stream: str) -> list[Any]:
    """Return all that an asyncio client says of a stream, alone and in pipelines."""
    found = [
        await client.xinfo_stream(stream),
        await client.xinfo_stream(stream, full=True),
        await client.execute_command("XINFO", b"Stream", stream),
        await client.execute_command("xinfo", "STREAM", stream, "FULL"),
    ]
    for transaction in (True, False):
        pipeline = client.pipeline(transaction=transaction).xinfo_stream(stream).xinfo_stream(stream, full=True)
        found += await pipeline.execute()
    return [look(info) for info in found]


@OPTIONS
async def test_information_on_a_stream_is_that_of_a_client_that_is_not_followed(
    package: Package, captured_streams: Captured, name: Name, options: dict[str, Any]
) -> None:
    stream, bare, client = name(), package.connect(**options), asyncdsm.wrap(package.connect(**options))
    await bare.xgroup_create(stream, "workers", "0", mkstream=True)
    for number in range(3):
        await bare.xadd(stream, {"a": number, "b": "c"}, id=f"1-{number + 1}")
    expected = await ask(bare, stream)
    await bare.delete(stream)
    await bare.xgroup_create(stream, "workers", "0", mkstream=True)
    for number in range(3):
        await client.xadd(stream, {"a": number, "b": "c"}, id=f"1-{number + 1}")
    await client.xreadgroup("workers", "me", {stream: ">"})
    assert FIELD in str(await ask(bare, stream))
    assert await ask(client, stream) == expected
    for each in (bare, client):
        await each.aclose()


def test_information_to_a_client_that_blocks_is_without_the_field(
    blocking: Any, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    blocking.xgroup_create(stream, "workers", "0", mkstream=True)
    empty = blocking.xinfo_stream(stream)
    assert (empty["first-entry"], empty["last-entry"]) == (None, None)
    entry_id = blocking.xadd(stream, {"a": 1})
    pipelined = blocking.pipeline().xinfo_stream(stream).execute()
    for info in (blocking.xinfo_stream(stream), *pipelined):
        assert (info["first-entry"], info["last-entry"]) == ((entry_id, {b"a": b"1"}),) * 2
    assert blocking.xinfo_stream(stream, full=True)["entries"] == {entry_id: {b"a": b"1"}}
    assert blocking.xinfo_groups(stream)[0]["name"] == b"workers"


@pytest.mark.parametrize("spell", [str.title, str.swapcase, lambda text: text.title().encode()])
async def test_commands_are_known_in_any_case(client: Any, captured_streams: Captured, name: Name, spell: Any) -> None:
    stream = name()
    await client.execute_command(spell("XADD"), stream, "*", "a", "1")
    (made,) = captured_streams.produced(stream)
    for command in ("XRANGE", "XREVRANGE"):
        ids = "-+" if command == "XRANGE" else "+-"
        assert FIELD not in str(await client.execute_command(spell(command), stream, *ids))
    assert FIELD not in str(await client.execute_command(spell("XREAD"), "STREAMS", stream, "0"))
    assert [read.parent for read in captured_streams.consumed(stream)] == [made.hash]


def warned(begin: Callable[[], Any]) -> list[str]:
    """Return what Python says once what `begin` returns is gone."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begin()
        gc.collect()
    return [str(each.message) for each in caught if each.category is RuntimeWarning]


async def begin_watching(client: Any, watched: str) -> Any:
    pipeline = client.pipeline()
    await pipeline.watch(watched)
    return pipeline


async def test_call_that_nobody_awaits_is_warned_of_as_without_asyncdsm(client: Any, bare: Any, name: Name) -> None:
    stream = name()
    watching = {each: await begin_watching(each, stream) for each in (client, bare)}
    calls: list[Callable[[Any], Any]] = [
        lambda each: each.xadd(stream, {"a": 1}),
        lambda each: each.execute_command("XREAD", "STREAMS", stream, "0"),
        lambda each: each.pipeline().xadd(stream, {"a": 1}).execute(),
        lambda each: watching[each].xadd(stream, {"a": 1}),
    ]
    for call in calls:
        expected = warned(lambda call=call: call(bare))  # type: ignore[misc]
        assert len(expected) == 1
        assert warned(lambda call=call: call(client)) == expected  # type: ignore[misc]
    for pipeline in watching.values():
        await pipeline.aclose()


async def test_task_that_is_cancelled_before_it_runs_warns_of_nothing(client: Any, name: Name) -> None:
    stream, watching = name(), await begin_watching(client, name())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tasks = [
            asyncio.create_task(client.xadd(stream, {"a": 1})),
            asyncio.create_task(client.pipeline().xadd(stream, {"a": 1}).execute()),
            asyncio.create_task(watching.xadd(stream, {"a": 1})),
        ]
        assert [task.cancel() for task in tasks] == [True] * 3
        await asyncio.wait(tasks)
        del tasks
        gc.collect()
    assert [str(each.message) for each in caught if each.category is RuntimeWarning] == []
    await watching.aclose()
