"""azure-eventhub: what callbacks get counts once, under its topic and group, and is current until they return."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from threading import Thread
from typing import Any

from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient

import asyncdsm
from asyncdsm.core.lag import collect_lags
from asyncdsm.testing import Captured
from tests.brokers.azure import AzureServer
from tests.integrations.eventhub.clients import Clients, Name, hash_of, until


def current() -> int:
    pathway = asyncdsm.current_pathway()
    return 0 if pathway is None else pathway.hash


async def test_event_is_current_in_its_callback_and_not_in_the_next_one(
    clients: Clients, captured_streams: Captured
) -> None:
    seen, hashes, empty = list[EventData](), list[int](), list[int]()

    async def on_event(_context: Any, event: Any) -> None:
        if event is None:
            empty.append(current())
            return
        hashes.append(current())
        seen.append(event)
        if event.body_as_str() == "1":
            asyncio.current_task().cancel()  # type: ignore[union-attr]
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()  # type: ignore[union-attr]

    producer = clients.producer()
    await producer.send_batch([EventData(str(number)) for number in range(4)], partition_id="0")
    receive = clients.consumer(group="billing").receive(
        on_event=on_event, max_wait_time=0.1, partition_id="0", starting_position="-1"
    )
    async with clients.receiving(receive):
        await until(lambda: len(seen) == 4)
        empty.clear()
        await until(lambda: empty)
    sent, read = captured_streams.produced(clients.hub), captured_streams.consumed(clients.hub)
    assert [event.body_as_str() for event in seen] == ["0", "1", "2", "3"]
    assert ([made.hash for made in read], [made.parent for made in read]) == (hashes, [made.hash for made in sent])
    assert (set(empty), current()) == ({0}, 0)
    tags = ("direction:in", "group:billing", f"topic:{clients.hub}", "type:eventhubs")
    assert {made.tags for made in read} == {tags}
    with asyncdsm.using(seen[2]):
        assert current() == hashes[2]


async def test_batch_makes_each_event_current_in_turn_and_tells_the_lag(
    clients: Clients, captured_streams: Captured, name: Name
) -> None:
    hub, batches = f"tracked{name()}", list[list[tuple[str, int, int]]]()
    closed, failed = list[str](), list[Exception]()

    async def on_event_batch(context: Any, events: list[EventData]) -> None:
        assert isinstance(events, list)
        batches.append([(event.body_as_str(), current(), hash_of(event)) for event in events])
        lags.append([(*lag[:4], lag.end, lag.type) for lag in collect_lags() if lag.topic == hub])

    async def on_partition_close(context: Any, _reason: Any) -> None:
        closed.append(context.partition_id)

    async def on_error(_context: Any, error: Exception) -> None:
        failed.append(error)

    lags = list[Any]()
    await clients.producer(hub).send_batch([EventData(str(number)) for number in range(5)], partition_id="1")
    receive = clients.consumer(hub).receive_batch(
        on_event_batch,
        max_batch_size=3,
        starting_position="-1",
        on_error=on_error,
        on_partition_close=on_partition_close,
        track_last_enqueued_event_properties=True,
    )
    async with clients.receiving(receive, awaits_end=True):
        await until(lambda: sum(map(len, batches)) == 5)
    pairs = [pair for batch in batches for pair in batch]
    read = captured_streams.consumed(hub)
    assert [made.hash for made in read] == [now for _, now, _ in pairs]
    assert [made.parent for made in read] == [carried for _, _, carried in pairs]
    assert [body for body, _, _ in pairs] == ["0", "1", "2", "3", "4"]
    total, expected = 0, list[Any]()
    for batch in batches:
        total += len(batch)
        expected.append([("$Default", hub, 1, 5 - total, 5, "eventhubs")])
    assert (lags, failed, sorted(closed)) == (expected, [], ["0", "1"])
    assert [lag for lag in collect_lags() if lag.topic == hub] == []


async def test_broker_time_begins_the_pathway_of_an_event_without_context(
    clients: Clients, captured_streams: Captured
) -> None:
    before, starts = datetime.now(UTC).timestamp(), list[tuple[float, float]]()

    async def on_event(_context: Any, event: Any) -> None:
        pathway = asyncdsm.current_pathway()
        assert pathway is not None
        starts.append((pathway.pathway_start_ns / 1e9, event.enqueued_time.timestamp()))
        raise LookupError("the program's own")

    errors = list[Exception]()

    async def on_error(_context: Any, error: Exception) -> None:
        errors.append(error)

    await clients.bare_producer().send_event(EventData("body"), partition_id="0")
    async with clients.receiving(clients.consumer().receive(on_event, starting_position="-1", on_error=on_error)):
        await until(lambda: errors)
    (made,) = captured_streams.consumed(clients.hub)
    ((start, enqueued),) = starts
    assert (made.parent, str(errors[0])) == (0, "the program's own")
    assert before - 0.01 <= start <= enqueued + 0.001


def test_clients_that_block_are_followed(eventhubs: AzureServer, captured_streams: Captured, name: Name) -> None:
    """Single events, lists, batches and the buffer; callbacks in threads."""
    hub, seen, done = name(), list[tuple[int, int]](), list[Any]()
    options: Any = {"eventhub_name": hub, "retry_total": 0}

    def make(**more: Any) -> EventHubProducerClient:
        connection = eventhubs.connection_string
        return asyncdsm.wrap(EventHubProducerClient.from_connection_string(connection, **options, **more))

    def on_event(_context: Any, event: Any) -> None:
        seen.append((current(), hash_of(event)))

    with make() as producer:
        producer.send_event(EventData("one"), partition_id="0")
        producer.send_batch([EventData("two")], partition_id="0")
        batch = producer.create_batch(partition_id="0")
        batch.add(EventData("three"))
        producer.send_batch(batch)
    succeed: Any = lambda events, _partition: done.extend(events)  # noqa: E731
    with make(buffered_mode=True, on_success=succeed, on_error=print, max_wait_time=0.5) as producer:
        producer.send_event(EventData("four"), partition_id="0")
        producer.send_batch([EventData("five")], partition_id="0")
    consumer = asyncdsm.wrap(
        EventHubConsumerClient.from_connection_string(
            eventhubs.connection_string, "$Default", load_balancing_interval=0.2, **options
        )
    )
    thread = Thread(target=consumer.receive, args=(on_event,), kwargs={"starting_position": "-1", "partition_id": "0"})
    thread.start()
    asyncio.run(until(lambda: len(seen) == 5))
    consumer.close()
    thread.join()
    assert len(done) == 2
    sent, read = captured_streams.produced(hub), captured_streams.consumed(hub)
    assert [made.hash for made in sent] == [carried for _, carried in seen] == [made.parent for made in read]
    assert [made.hash for made in read] == [now for now, _ in seen]
