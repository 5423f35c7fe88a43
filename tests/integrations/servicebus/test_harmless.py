"""azure-servicebus: an error of asyncdsm does not reach the program, and the client's methods look as they did."""

from __future__ import annotations

import inspect
from typing import Any

import asyncdsm_servicebus.batches
import asyncdsm_servicebus.consume
import asyncdsm_servicebus.messages
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.azure import AzureServer
from tests.integrations.servicebus.clients import Links, Name, Pair, context_of


async def send_and_receive(pair: Pair) -> list[str]:
    await pair.sender.send_messages(ServiceBusMessage("one"))
    await pair.sender.send_messages([ServiceBusMessage("two")])
    batch = await pair.sender.create_message_batch()
    batch.add_message(ServiceBusMessage("three"))
    await pair.sender.send_messages(batch)
    received = await pair.receive(2)
    async for message in pair.receiver:
        await pair.receiver.complete_message(message)
        received.append(message)
        break
    assert list(map(context_of, received)) == [None] * 3
    return list(map(str, received))


async def test_error_in_a_hook_does_not_reach_the_program(
    client: ServiceBusClient, links: Links, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        monkeypatch.setattr(asyncdsm_servicebus.messages, "begin_produce", broken)
        monkeypatch.setattr(asyncdsm_servicebus.batches, "begin_produce", broken)
        monkeypatch.setattr(asyncdsm_servicebus.consume, "consume_delivery", broken)
        pair = await links.open_pair(client, name())
        assert await send_and_receive(pair) == ["one", "two", "three"]
        assert streams.stats.errors >= 7
        assert streams.stats.recorded == 0


async def test_nothing_is_touched_while_nothing_measures(client: ServiceBusClient, links: Links, name: Name) -> None:
    async with DataStreams(Settings(service="s", enabled=False)) as streams:
        pair = await links.open_pair(client, name())
        assert await send_and_receive(pair) == ["one", "two", "three"]
        assert streams.stats.recorded == streams.stats.errors == 0


async def test_hooks_keep_signature_and_docstring(client: ServiceBusClient, name: Name) -> None:
    queue = name()
    methods: list[tuple[Any, list[str]]] = [
        (client, ["get_queue_sender", "get_queue_receiver", "get_topic_sender", "get_subscription_receiver"]),
        (client.get_queue_sender(queue), ["send_messages", "schedule_messages", "create_message_batch"]),
        (client.get_queue_receiver(queue), ["receive_messages", "receive_deferred_messages"]),
    ]
    for owner, names in methods:
        for method in names:
            hooked, original = getattr(owner, method), getattr(type(owner), method)
            assert inspect.iscoroutinefunction(original) == inspect.iscoroutinefunction(inspect.unwrap(hooked))
            assert hooked.__doc__ == original.__doc__
            assert list(inspect.signature(hooked).parameters) == list(inspect.signature(original).parameters)[1:]


async def test_malformed_context_begins_a_pathway(
    client: ServiceBusClient, bare: ServiceBusClient, captured_streams: Captured, links: Links, name: Name
) -> None:
    queue = name()
    values: list[Any] = ["", "no context", "AAAA", "é", 4711, None, "x" * 1000]
    sender, receiver = await links.open(bare.get_queue_sender(queue), client.get_queue_receiver(queue))
    await sender.send_messages([ServiceBusMessage("b", application_properties={HEADER: each}) for each in values])
    taken = 0
    while taken < len(values):
        for message in await receiver.receive_messages(len(values), max_wait_time=5):
            await receiver.complete_message(message)
            taken += 1
    assert [made.parent for made in captured_streams.consumed(queue)] == [0] * len(values)


async def test_arguments_that_a_later_release_adds_reach_the_client(
    servicebus: AzureServer, captured_streams: Captured, links: Links, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = list[Any]()

    def with_later(original: Any) -> Any:
        async def call(*args: Any, later: Any = None, **kwargs: Any) -> Any:
            got.append(later)
            return await original(*args, **kwargs)

        return call

    for cls, method in ((ServiceBusSender, "send_messages"), (ServiceBusReceiver, "receive_messages")):
        monkeypatch.setattr(cls, method, with_later(getattr(cls, method)))
    async with ServiceBusClient.from_connection_string(servicebus.connection_string) as client:
        pair = await links.open_pair(asyncdsm.wrap(client), name())
        await pair.sender.send_messages(message=ServiceBusMessage("body"), later=1)
        await pair.receiver.receive_messages(later=2, max_message_count=1)
    assert got == [1, 2]
    assert len(captured_streams.checkpoints) == 2
