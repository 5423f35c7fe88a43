"""Events of 200 bytes through azure-eventhub and a server: CPU of this process for sending and receiving one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import process_time
from typing import Any

from benchmarks.client_contest import BODY, CONTEXT, Follow, make_benchmark, make_contestants
from benchmarks.sink import sink

BLOCKS, BATCH = 2, 100


async def _microseconds(count: int, follow: Follow, *, carries: bool, fields: dict[Any, Any]) -> float:
    """CPU time per event: the least of some blocks, after one that warms up."""
    from azure.eventhub import EventData
    from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

    hub, connection = f"benchmark-{os.getpid()}-{carries}-{bool(fields)}", os.environ["BENCHMARK_EVENTHUBS"]
    producer = follow(EventHubProducerClient.from_connection_string(connection, eventhub_name=hub))
    consumer = follow(EventHubConsumerClient.from_connection_string(connection, "$Default", eventhub_name=hub))
    figures, last, seen = list[float](), dict[str, Any](), asyncio.Semaphore(0)

    async def on_event_batch(_context: Any, events: list[Any]) -> None:
        for event in events:
            last["event"] = event
            seen.release()

    receiving = asyncio.create_task(consumer.receive_batch(on_event_batch, partition_id="0", starting_position="-1"))
    for _ in range(BLOCKS + 1):
        start = process_time()
        for _ in range(count // BATCH):
            events = [EventData(BODY) for _ in range(BATCH)]
            for event in events:
                event.properties = dict(fields)
            await producer.send_batch(events, partition_id="0")
        for _ in range(count):
            await seen.acquire()
        figures.append((process_time() - start) / count * 1e6)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    await asyncio.gather(producer.close(), consumer.close())
    assert (CONTEXT.encode() in last["event"].properties) == carries, "followed by the wrong one, or by nobody"
    return min(figures[1:])


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.azure import azure_server

    with azure_server("eventhubs") as server, sink() as environ:
        yield {**environ, "BENCHMARK_EVENTHUBS": server.connection_string}


bare, bare_with_a_field, asyncdsm_wrapped = make_contestants(_microseconds, BLOCKS + 1)
BENCHMARK = make_benchmark("azure-eventhub", "Send and receive an event", 2_000, _surroundings, "a property")
