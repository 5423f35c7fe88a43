"""azure-eventhub: an error of asyncdsm does not reach the program, and the client's methods look as they did."""

from __future__ import annotations

import inspect
from typing import Any

import asyncdsm_eventhub.consume
import asyncdsm_eventhub.events
import asyncdsm_eventhub.produce
import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

from asyncdsm import DataStreams, Settings
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.eventhub.clients import Clients, context_of, until


async def send_and_receive(clients: Clients) -> list[str]:
    """Send in three ways, and receive in two; return what was received."""
    producer, got = clients.producer(), list[EventData]()
    await producer.send_event(EventData("one"), partition_id="0")
    await producer.send_batch([EventData("two")], partition_id="0")
    batch = await producer.create_batch(partition_id="0")
    batch.add(EventData("three"))
    await producer.send_batch(batch)

    async def on_event(_context: Any, event: Any) -> None:
        got.append(event)

    async def on_event_batch(_context: Any, events: list[EventData]) -> None:
        got.extend(events)

    receiver, other = clients.consumer(), clients.consumer(group="other")
    async with (
        clients.receiving(receiver.receive(on_event, partition_id="0", starting_position="-1")),
        clients.receiving(other.receive_batch(on_event_batch, partition_id="0", starting_position="-1")),
    ):
        await until(lambda: len(got) == 6)
    assert list(map(context_of, got)) == [None] * 6
    return sorted(event.body_as_str() for event in got)


async def test_error_in_a_hook_does_not_reach_the_program(
    eventhubs: object, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        monkeypatch.setattr(asyncdsm_eventhub.events, "begin_produce", broken)
        monkeypatch.setattr(asyncdsm_eventhub.produce, "begin_produce", broken)
        monkeypatch.setattr(asyncdsm_eventhub.consume, "consume_delivery", broken)
        assert await send_and_receive(clients) == ["one", "one", "three", "three", "two", "two"]
        assert streams.stats.errors >= 9
        assert streams.stats.recorded == 0


async def test_nothing_is_touched_while_nothing_measures(clients: Clients) -> None:
    async with DataStreams(Settings(service="s", enabled=False)) as streams:
        assert await send_and_receive(clients) == ["one", "one", "three", "three", "two", "two"]
        assert streams.stats.recorded == streams.stats.errors == 0


async def test_hooks_keep_signature_and_docstring(clients: Clients) -> None:
    methods: list[tuple[Any, list[str]]] = [
        (clients.producer(), ["create_batch", "send_batch", "send_event"]),
        (clients.consumer(), ["receive", "receive_batch"]),
    ]
    for owner, names in methods:
        for method in names:
            hooked, original = getattr(owner, method), getattr(type(owner), method)
            assert inspect.iscoroutinefunction(original) == inspect.iscoroutinefunction(inspect.unwrap(hooked))
            assert hooked.__doc__ == original.__doc__
            assert list(inspect.signature(hooked).parameters) == list(inspect.signature(original).parameters)[1:]


async def test_malformed_context_begins_a_pathway_and_later_arguments_reach_the_client(
    clients: Clients, captured_streams: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    got, later = list[Any](), list[Any]()

    def with_later(original: Any) -> Any:
        async def call(*args: Any, later_one: Any = None, **kwargs: Any) -> Any:
            later.append(later_one)
            return await original(*args, **kwargs)

        return call

    for cls, method in ((EventHubProducerClient, "create_batch"), (EventHubConsumerClient, "receive")):
        monkeypatch.setattr(cls, method, with_later(getattr(cls, method)))
    batch = await clients.producer().create_batch(partition_id="0", later_one=1)  # type: ignore[call-arg]
    assert len(batch) == 0
    bare, values = clients.bare_producer(), ["", "no context", "AAAA", "é", 4711, None, "x" * 1000]
    events = [EventData("b") for _ in values]
    for event, value in zip(events, values, strict=True):
        event.properties = {HEADER: value}
    await bare.send_batch(list(events), partition_id="0")

    async def on_event(_context: Any, event: Any) -> None:
        got.append(event)

    receive: Any = clients.consumer().receive
    async with clients.receiving(receive(on_event=on_event, later_one=2, partition_id="0", starting_position="-1")):
        await until(lambda: len(got) == len(values))
    assert [made.parent for made in captured_streams.consumed(clients.hub)] == [0] * len(values)
    assert later == [1, None, 2]
