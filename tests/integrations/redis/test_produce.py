"""redis-py and valkey-py: an added entry carries a context and counts once the server has it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import asyncdsm
from asyncdsm import DataStreams, Pathway, Settings
from asyncdsm.core import current
from asyncdsm.testing import Captured
from tests.integrations.redis.clients import FIELD, Name, Package


async def test_entry_carries_the_context_and_the_fields_are_not_changed(
    client: Any, bare: Any, captured_streams: Captured, name: Name
) -> None:
    stream, fields = name(), {"order": "ü", "number": 7, b"raw": b"\xff", "part": 1.5}
    before = dict(fields)
    entry_id = await client.xadd(stream, fields)
    assert fields == before
    ((stored_id, stored),) = await bare.xrange(stream)
    header = stored.pop(FIELD.encode())
    assert (stored_id, stored) == (
        entry_id,
        {b"order": "ü".encode(), b"number": b"7", b"raw": b"\xff", b"part": b"1.5"},
    )
    (made,) = captured_streams.produced()
    assert made.tags == ("direction:out", f"topic:{stream}", "type:redis")
    pathway = Pathway.decode_base64(header.decode())
    assert pathway is not None
    assert pathway.hash == made.hash
    assert made.size == sum(len(key) + len(value) for key, value in stored.items()) + len(FIELD) + len(header)


@pytest.mark.parametrize(
    "options",
    [
        {"maxlen": 1},
        {"maxlen": 1, "approximate": False},
        {"maxlen": 1, "limit": 5},
        {"minid": "0-1", "approximate": False},
        {"id": "5-5"},
        {"nomkstream": True, "maxlen": 10},
    ],
)
async def test_options_of_xadd_reach_the_server_and_are_not_measured(
    client: Any, bare: Any, captured_streams: Captured, name: Name, options: dict[str, Any]
) -> None:
    stream = name()
    await bare.xadd(stream, {"first": 1}, id="1-1")
    await client.xadd(stream, {"a": "1"}, **options)
    (_, fields) = (await bare.xrange(stream))[-1]
    assert list(fields) == [b"a", FIELD.encode()]
    (made,) = captured_streams.produced()
    assert made.size == 2 + len(FIELD) + len(fields[FIELD.encode()])


async def test_entry_that_the_server_does_not_add_is_not_counted(
    client: Any, bare: Any, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    assert await client.xadd(stream, {"a": 1}, nomkstream=True) is None
    await client.xadd(stream, {"a": 1}, id="5-5")
    with pytest.raises(Exception, match="equal or smaller"):
        await client.xadd(stream, {"a": 1}, id="5-5")
    with pytest.raises(Exception, match="wrong number of arguments"):
        await client.execute_command("XADD", stream, "*")
    with pytest.raises(Exception, match="wrong number of arguments"):
        await client.execute_command("XADD", stream, "*", "a", 1, "b")
    with pytest.raises(Exception, match="Invalid input of type"):
        await client.xadd(stream, {"a": object()})
    await bare.set(name_of_string := name(), "no stream")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await client.xadd(name_of_string, {"a": 1})
    assert len(captured_streams.produced()) == await bare.xlen(stream) == 1


@pytest.mark.parametrize("command", ["XADD", "xadd", b"XADD", b"xadd"])
async def test_command_in_any_form_carries_a_context(
    client: Any, bare: Any, captured_streams: Captured, name: Name, command: Any
) -> None:
    stream = name()
    await client.execute_command(command, stream.encode(), b"MAXLEN", "~", 10, "*", memoryview(b"a"), b"1")
    ((_, fields),) = await bare.xrange(stream)
    assert list(fields) == [b"a", FIELD.encode()]
    assert [made.topic for made in captured_streams.produced()] == [stream]


@pytest.mark.parametrize("field", [FIELD, FIELD.encode()])
async def test_context_of_another_entry_is_replaced(
    client: Any, bare: Any, captured_streams: Captured, name: Name, field: Any
) -> None:
    stream = name()
    await client.xadd(stream, {field: Pathway(1, 1, 1).encode_base64(), "a": 1})
    stored = await bare.execute_command(b"XRANGE", stream, "-", "+")  # as it is on the wire
    (made,) = captured_streams.produced()
    pathway = Pathway.decode_base64(stored[0][1][3].decode())
    assert [stored[0][1][at] for at in (0, 2)] == [b"a", FIELD.encode()]
    assert len(stored[0][1]) == 4
    assert pathway is not None
    assert pathway.hash == made.hash


async def test_stream_of_the_setting_gets_no_field_and_counts(package: Package, bare: Any, name: Name) -> None:
    plain, other = f"legacy:{name()}", f"{name()}"
    async with DataStreams(Settings(redis_without_context=("legacy:*",))) as streams:
        client = asyncdsm.wrap(package.connect())
        await client.xadd(plain, {"a": 1})
        await client.xadd(other, {"a": 1})
        await client.aclose()
        assert (streams.stats.recorded, streams.stats.not_propagated) == (2, 1)
    assert [list(fields) for _, fields in await bare.xrange(plain)] == [[b"a"]]
    assert [list(fields) for _, fields in await bare.xrange(other)] == [[b"a", FIELD.encode()]]


async def test_stream_with_an_id_in_its_name_has_a_pattern_as_topic(
    client: Any, captured_streams: Captured, name: Name
) -> None:
    await client.xadd(f"{(base := name())}:4711", {"a": 1})
    assert [made.topic for made in captured_streams.produced()] == [f"{base}:*"]


async def test_entry_inside_of_a_multi_of_the_program_s_own_is_not_counted(
    package: Package, captured_streams: Captured, name: Name
) -> None:
    client = asyncdsm.wrap(package.connect(single_connection_client=True))
    await client.execute_command("MULTI")
    await client.execute_command("XADD", name(), "*", "a", 1)
    await client.execute_command("DISCARD")
    assert captured_streams.checkpoints == []
    await client.aclose()


async def test_cancelled_call_is_not_counted(package: Package, captured_streams: Captured, name: Name) -> None:
    client = asyncdsm.wrap(package.connect())
    task = asyncio.create_task(client.xadd(name(), {"a": 1}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert captured_streams.checkpoints == []
    await client.aclose()


def test_blocking_client_adds_with_the_current_parent(blocking: Any, captured_streams: Captured, name: Name) -> None:
    with current.restored(Pathway(5, 1, 1)):
        blocking.xadd(name(), {"a": 1})
    assert [made.parent for made in captured_streams.produced()] == [5]


async def test_nothing_is_added_while_nothing_measures(package: Package, bare: Any, name: Name) -> None:
    stream = name()
    async with DataStreams(Settings(enabled=False)):
        client = asyncdsm.wrap(package.connect())
        await client.xadd(stream, {"a": 1})
        async with client.pipeline() as pipeline:
            await pipeline.xadd(stream, {"a": 2}).execute()
        await client.aclose()
    assert [list(fields) for _, fields in await bare.xrange(stream)] == [[b"a"]] * 2


@pytest.mark.parametrize(
    ("options", "is_known_by_content"),
    [
        (("IDMPAUTO", "me"), True),
        ((b"idmpauto", "me"), True),
        (("MAXLEN", "~", 9, "LIMIT", 2, "IdmpAuto", "me"), True),
        (("IDMP", "me", "1"), False),
    ],
)
async def test_entry_whose_id_the_server_makes_of_its_fields_goes_without_context(
    package: Package,
    name: Name,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[Any, ...],
    *,
    is_known_by_content: bool,
) -> None:
    """A Redis of 8.6 or later takes the option, and adds what has the same fields once."""
    sent, stream = list[tuple[Any, ...]](), name()

    async def answer(_client: object, *args: Any, **_options: object) -> bytes:
        sent.append(args)
        return b"1-1"

    monkeypatch.setattr(package.classes[2], "execute_command", answer)
    command = ("XADD", stream, *options, "*", "order", "4711")
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        client = asyncdsm.wrap(package.connect())
        for _ in range(2):
            assert await client.execute_command(*command) == b"1-1"
        await client.aclose()
        assert (streams.stats.recorded, streams.stats.not_propagated) == (2, 2 if is_known_by_content else 0)
    assert (sent == [command] * 2) is is_known_by_content
