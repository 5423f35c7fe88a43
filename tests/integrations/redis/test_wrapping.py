"""redis-py and valkey-py: which clients are followed by `wrap` and by `instrument`, and that each entry counts once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.redis.clients import Name, Package


@contextmanager
def instrumented(package: Package) -> Iterator[None]:
    asyncdsm.instrument(package.name)
    try:
        yield
    finally:
        asyncdsm.uninstrument(package.name)


async def use(client: Any, name: Name) -> None:
    """Add an entry by a call and one by a pipeline, and read both."""
    stream = name()
    await client.xadd(stream, {"a": 1})
    async with client.pipeline() as pipeline:
        await pipeline.xadd(stream, {"a": 2}).execute()
    await client.xread({stream: "0"})


def use_blocking(client: Any, name: Name) -> None:
    """Do the same with a client that blocks."""
    stream = name()
    client.xadd(stream, {"a": 1})
    with client.pipeline() as pipeline:
        pipeline.xadd(stream, {"a": 2}).execute()
    client.xread({stream: "0"})


def counts(captured: Captured) -> tuple[int, int]:
    """Return how many checkpoints were produced and consumed since the last call. Each consumed one has its parent."""
    sent, read = captured.produced(), captured.consumed()
    assert {made.parent for made in read} <= {made.hash for made in sent}
    captured.clear()
    return len(sent), len(read)


async def test_wrapped_client_is_followed_and_others_are_not(
    client: Any, bare: Any, captured_streams: Captured, name: Name
) -> None:
    assert asyncdsm.wrap(client) is client
    await use(client, name)
    assert counts(captured_streams) == (2, 2)
    await use(bare, name)
    assert counts(captured_streams) == (0, 0)


async def test_client_that_a_wrapped_one_makes_is_followed(client: Any, captured_streams: Captured, name: Name) -> None:
    async with client.client() as single:
        await use(single, name)
    assert counts(captured_streams) == (2, 2)


async def test_instrument_follows_everything_until_uninstrument(
    package: Package, bare: Any, captured_streams: Captured, name: Name
) -> None:
    before, blocking = [dict(vars(cls)) for cls in package.classes], package.connect_blocking()
    with instrumented(package):
        asyncdsm.instrument(package.name)  # a second time changes nothing
        await use(bare, name)
        assert counts(captured_streams) == (2, 2)
        await asyncio.to_thread(use_blocking, blocking, name)
        assert counts(captured_streams) == (2, 2)
        pipeline = bare.pipeline().xadd(name(), {"a": 1})
    assert [dict(vars(cls)) for cls in package.classes] == before
    await use(bare, name)
    await asyncio.to_thread(use_blocking, blocking, name)
    await pipeline.execute()
    assert counts(captured_streams) == (0, 0)
    blocking.close()


@pytest.mark.parametrize("is_wrapped_first", [True, False])
async def test_wrapped_and_instrumented_counts_once(
    package: Package, captured_streams: Captured, name: Name, is_wrapped_first: bool
) -> None:
    client = package.connect()
    if is_wrapped_first:
        asyncdsm.wrap(client)
    with instrumented(package):
        asyncdsm.wrap(client)
        await use(client, name)
        assert counts(captured_streams) == (2, 2)
    await use(client, name)
    assert counts(captured_streams) == (2, 2)
    await client.aclose()


async def test_subclass_of_the_client_is_followed(package: Package, captured_streams: Captured, name: Name) -> None:
    (base,) = [cls for cls in package.classes[2:] if cls.__name__ != "Pipeline"]

    class Own(base):  # type: ignore[misc,valid-type]
        async def execute_command(self, *args: Any, **options: Any) -> Any:
            return await super().execute_command(*args, **options)

    client: Any = Own.from_url(package.url)
    for followed in (asyncdsm.wrap(client), asyncdsm.wrap(client)):
        await use(followed, name)
        assert counts(captured_streams) == (2, 2)
    with instrumented(package):
        await use(client, name)
    assert counts(captured_streams) == (2, 2)
    await client.aclose()


@pytest.mark.parametrize("make", [MagicMock, AsyncMock])
def test_wrap_returns_a_mock_unchanged(package: Package, make: Any) -> None:
    for spec in package.classes:
        mock = make(spec=spec)
        before = dict(vars(mock)), mock.mock_calls[:]
        assert asyncdsm.wrap(mock) is mock
        assert (dict(vars(mock)), mock.mock_calls[:]) == before


def test_wrap_in_a_forked_child_counts_there(
    blocking: Any, package: Package, captured_streams: Captured, name: Name
) -> None:
    use_blocking(blocking, name)
    captured_streams.clear()
    child = os.fork()
    if child == 0:
        own = asyncdsm.wrap(package.connect_blocking())
        use_blocking(own, name)
        os._exit(0 if len(captured_streams.checkpoints) == 4 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert captured_streams.checkpoints == []
