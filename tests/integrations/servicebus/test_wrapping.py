"""azure-servicebus: what is followed by `wrap` and by `instrument`, and that each message counts once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock, create_autospec

import azure.servicebus
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

import asyncdsm
from asyncdsm.errors import UnknownClientError
from asyncdsm.testing import Captured
from tests.integrations.servicebus.clients import Links, Name, Pair

CLASSES = (
    ServiceBusSender,
    ServiceBusReceiver,
    azure.servicebus.ServiceBusSender,
    azure.servicebus.ServiceBusReceiver,
)


@contextmanager
def instrumented() -> Iterator[None]:
    asyncdsm.instrument("azure.servicebus")
    try:
        yield
    finally:
        asyncdsm.uninstrument("azure.servicebus")


async def use(pair: Pair) -> None:
    """Send three messages in three ways, and receive them in two."""
    await pair.sender.send_messages(ServiceBusMessage("one"))
    await pair.sender.send_messages([ServiceBusMessage("two")])
    batch = await pair.sender.create_message_batch()
    batch.add_message(ServiceBusMessage("three"))
    await pair.sender.send_messages(batch)
    await pair.receive(2)
    async for message in pair.receiver:
        await pair.receiver.complete_message(message)
        break


def counts(captured: Captured) -> tuple[int, int]:
    """Return how many checkpoints were produced and consumed since the last call. Each consumed one has its parent."""
    sent, read = captured.produced(), captured.consumed()
    assert {made.parent for made in read} <= {made.hash for made in sent}
    captured.clear()
    return len(sent), len(read)


async def test_wrapped_senders_and_receivers_are_followed_and_others_are_not(
    bare: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    pair = await links.open_pair(bare, name())
    await use(pair)
    assert counts(captured_streams) == (0, 0)
    for _ in range(2):
        assert asyncdsm.wrap(pair.sender) is pair.sender
        assert asyncdsm.wrap(pair.receiver) is pair.receiver
    await use(pair)
    assert counts(captured_streams) == (3, 3)


async def test_instrument_follows_everything_until_uninstrument(
    client: ServiceBusClient, bare: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    before = [dict(vars(cls)) for cls in CLASSES]
    pair, wrapped = await links.open_pair(bare, name()), await links.open_pair(client, name())
    with instrumented():
        asyncdsm.instrument("azure.servicebus")  # a second time changes nothing
        await use(pair)
        assert counts(captured_streams) == (3, 3)
        await use(wrapped)
        assert counts(captured_streams) == (3, 3)
    assert [dict(vars(cls)) for cls in CLASSES] == before
    await use(pair)
    assert counts(captured_streams) == (0, 0)
    await use(wrapped)
    assert counts(captured_streams) == (3, 3)


async def test_subclass_of_a_receiver_is_followed(
    bare: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    class Own(ServiceBusReceiver):
        async def receive_messages(self, *args: Any, **kwargs: Any) -> Any:
            return await super().receive_messages(*args, **kwargs)

    pair = await links.open_pair(bare, name())
    pair.receiver.__class__ = Own
    asyncdsm.wrap(pair.sender)
    asyncdsm.wrap(pair.receiver)
    await use(pair)
    assert counts(captured_streams) == (3, 3)


@pytest.mark.parametrize("spec", [ServiceBusClient, *CLASSES])
def test_wrap_returns_a_mock_unchanged(spec: type) -> None:
    for mock in (MagicMock(spec=spec), create_autospec(spec, instance=True)):
        before = dict(vars(mock)), mock.mock_calls[:]
        assert asyncdsm.wrap(mock) is mock
        assert (dict(vars(mock)), mock.mock_calls[:]) == before


def test_wrap_says_what_it_takes_of_the_package() -> None:
    with pytest.raises(UnknownClientError, match=r"of azure\.servicebus it takes a ServiceBusClient"):
        asyncdsm.wrap(ServiceBusMessage("body"))
