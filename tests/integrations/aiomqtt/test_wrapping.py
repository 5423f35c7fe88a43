"""aiomqtt: which clients are followed by `wrap` and by `instrument`, and that each message counts once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import pytest
from aiomqtt import Client, ProtocolVersion

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.mosquitto import Mosquitto
from tests.integrations.aiomqtt.clients import Name, make_client, take


@contextmanager
def instrumented() -> Iterator[None]:
    asyncdsm.instrument("aiomqtt")
    try:
        yield
    finally:
        asyncdsm.uninstrument("aiomqtt")


async def use(client: Client, name: Name) -> None:
    """Send a message to a shared subscription and receive it."""
    await client.subscribe(f"$share/group/{(topic := name())}")
    await client.publish(topic, b"body")
    await take(client)


def counts(captured: Captured) -> tuple[int, int]:
    """Return how many checkpoints were produced and consumed since the last call. Each consumed one has its parent."""
    sent, read = captured.produced(), captured.consumed()
    assert {made.parent for made in read} <= {made.hash for made in sent}
    assert {made.tag("group") for made in read} <= {"group"}
    captured.clear()
    return len(sent), len(read)


async def test_wrapped_client_is_followed_and_others_are_not(
    client: Client, bare: Client, captured_streams: Captured, name: Name
) -> None:
    assert asyncdsm.wrap(client) is client
    await use(client, name)
    assert counts(captured_streams) == (1, 1)
    await use(bare, name)
    assert counts(captured_streams) == (0, 0)


async def test_instrument_follows_every_client_until_uninstrument(
    bare: Client, captured_streams: Captured, name: Name
) -> None:
    with instrumented():
        asyncdsm.instrument("aiomqtt")  # a second time changes nothing
        await use(bare, name)
        assert counts(captured_streams) == (1, 1)
        await bare.subscribe(topic := name())
    await bare.publish(topic, b"body")
    await take(bare)
    assert counts(captured_streams) == (0, 0)


@pytest.mark.parametrize("is_wrapped_first", [True, False])
async def test_wrapped_and_instrumented_counts_once(
    mosquitto: Mosquitto, captured_streams: Captured, name: Name, is_wrapped_first: bool
) -> None:
    client = make_client(mosquitto)
    if is_wrapped_first:
        asyncdsm.wrap(client)
    with instrumented():
        async with asyncdsm.wrap(client):
            await use(client, name)
            assert counts(captured_streams) == (1, 1)
    async with client:
        await use(client, name)
        assert counts(captured_streams) == (1, 1)


async def test_client_that_was_wrapped_after_it_connected_is_followed(
    bare: Client, captured_streams: Captured, name: Name
) -> None:
    await use(asyncdsm.wrap(bare), name)
    assert counts(captured_streams) == (1, 1)


async def test_subclass_with_parameters_of_its_own_is_followed(
    mosquitto: Mosquitto, captured_streams: Captured, name: Name
) -> None:
    class Terse(Client):
        async def publish(self, topic: str, body: bytes) -> None:  # type: ignore[override]  # pyright: ignore
            await super().publish(topic, body, qos=1)

    async with asyncdsm.wrap(Terse("127.0.0.1", mosquitto.port, protocol=ProtocolVersion.V5)) as client:
        await use(client, name)
    assert counts(captured_streams) == (1, 1)


@pytest.mark.parametrize("make", [MagicMock, AsyncMock])
def test_wrap_returns_a_mock_unchanged(make: Any) -> None:
    for mock in (make(spec=Client), create_autospec(Client, instance=True)):
        before = dict(vars(mock)), mock.mock_calls[:]
        assert asyncdsm.wrap(mock) is mock
        assert (dict(vars(mock)), mock.mock_calls[:]) == before


def test_uninstrument_restores_the_classes_of_a_program_that_wraps_nothing() -> None:
    import subprocess
    import sys

    program = """
import aiomqtt, asyncdsm
from asyncdsm_aiomqtt.client import _ITERATOR
classes = aiomqtt.Client, _ITERATOR
before = [dict(vars(each)) for each in classes]
asyncdsm.instrument("aiomqtt")
assert [dict(vars(each)) for each in classes] != before
asyncdsm.uninstrument("aiomqtt")
assert [dict(vars(each)) for each in classes] == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)
