"""nats-py: which connections are followed by `wrap` and by `instrument`, and that each message counts once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.nats import NatsServer
from tests.integrations.nats.clients import Name, flush

CLASSES = (Client, JetStreamContext)


@contextmanager
def instrumented() -> Iterator[None]:
    asyncdsm.instrument("nats")
    try:
        yield
    finally:
        asyncdsm.uninstrument("nats")


async def use(client: Client, name: Name, js: JetStreamContext | None = None) -> None:
    """Send a message by core NATS and one by JetStream, and receive both."""
    subject, stored = name(), name()
    subscription = await client.subscribe(subject)
    await flush(client)
    await client.publish(subject, b"body")
    await subscription.next_msg(timeout=10)
    js = js or client.jetstream()
    await js.add_stream(name=stored, subjects=[stored])
    await js.publish(stored, b"body")
    pull = await js.pull_subscribe(stored, durable="worker")
    (message,) = await pull.fetch()
    await message.ack_sync()


def counts(captured: Captured) -> tuple[int, int]:
    """Return how many checkpoints were produced and consumed since the last call. Each consumed one has its parent."""
    sent, read = captured.produced(), captured.consumed()
    assert {made.parent for made in read} <= {made.hash for made in sent}
    captured.clear()
    return len(sent), len(read)


async def test_wrapped_connection_is_followed_and_others_are_not(
    client: Client, bare: Client, captured_streams: Captured, name: Name
) -> None:
    assert asyncdsm.wrap(client) is client
    await use(client, name)
    assert counts(captured_streams) == (2, 2)
    await use(bare, name)
    assert counts(captured_streams) == (0, 0)


async def test_wrapped_context_is_followed_with_its_connection(
    bare: Client, captured_streams: Captured, name: Name
) -> None:
    js = bare.jetstream()
    assert asyncdsm.wrap(js) is js
    await use(bare, name, js)
    assert counts(captured_streams) == (2, 2)


async def test_instrument_follows_everything_until_uninstrument(
    bare: Client, captured_streams: Captured, name: Name
) -> None:
    before, subject = [dict(vars(cls)) for cls in CLASSES], name()
    with instrumented():
        asyncdsm.instrument("nats")  # a second time changes nothing
        js = bare.jetstream()
        await use(bare, name, js)
        assert counts(captured_streams) == (2, 2)
        subscription = await bare.subscribe(subject)
        await flush(bare)
    assert [dict(vars(cls)) for cls in CLASSES] == before
    await bare.publish(subject, b"body")
    await subscription.next_msg(timeout=10)
    await use(bare, name, js)
    assert counts(captured_streams) == (0, 0)


@pytest.mark.parametrize("is_wrapped_first", [True, False])
async def test_wrapped_and_instrumented_counts_once(
    server: NatsServer, captured_streams: Captured, name: Name, is_wrapped_first: bool
) -> None:
    client = await nats.connect(server.url)
    if is_wrapped_first:
        asyncdsm.wrap(client)
    with instrumented():
        asyncdsm.wrap(client)
        await use(client, name)
        assert counts(captured_streams) == (2, 2)
    await use(client, name)
    assert counts(captured_streams) == (2, 2)
    await client.close()


async def test_subclass_of_the_client_is_followed(server: NatsServer, captured_streams: Captured, name: Name) -> None:
    class Own(Client):
        async def publish(self, *args: Any, **kwargs: Any) -> None:
            await super().publish(*args, **kwargs)

    client = Own()
    await client.connect(server.url)
    await use(asyncdsm.wrap(client), name)
    assert counts(captured_streams) == (2, 2)
    await client.close()


async def test_methods_of_a_subclass_with_other_parameters_are_left_alone(
    server: NatsServer, captured_streams: Captured, caplog: pytest.LogCaptureFixture, name: Name
) -> None:
    class Terse(Client):
        async def publish(self, subject: str, payload: bytes) -> None:  # type: ignore[override]  # pyright: ignore
            await super().publish(subject, payload)

        async def subscribe(self, subject: str, cb: Any = None, **more: Any) -> Any:  # type: ignore[override]  # pyright: ignore
            return await super().subscribe(subject, cb=cb, **more)

    client, subject = asyncdsm.wrap(Terse()), name()
    await client.connect(server.url)
    subscription = await client.subscribe(subject)
    await client.publish(subject, b"terse")
    assert (await subscription.next_msg(timeout=10)).data == b"terse"
    await client.close()
    assert captured_streams.checkpoints == []
    assert caplog.text.count("asyncdsm.wrap() cannot instrument") == 2


@pytest.mark.parametrize("make", [MagicMock, AsyncMock])
@pytest.mark.parametrize("spec", CLASSES)
def test_wrap_returns_a_mock_unchanged(make: Any, spec: type) -> None:
    for mock in (make(spec=spec), create_autospec(spec, instance=True)):
        before = dict(vars(mock)), mock.mock_calls[:]
        assert asyncdsm.wrap(mock) is mock
        assert (dict(vars(mock)), mock.mock_calls[:]) == before
