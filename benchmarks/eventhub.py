"""Events of 200 bytes through azure-eventhub and a server: CPU of this process for sending and receiving one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = b"x" * 200
BLOCKS, BATCH = 2, 100
CONTEXT = "dd-pathway-ctx-base64"

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the events."""
    return asyncio.run(_microseconds(count, lambda client: client, carries=False))


def bare_with_a_property(count: int) -> float:
    """Nobody follows the events, and each has a property of a context's size, as its program gave it."""
    properties = {"x" * len(CONTEXT): "x" * 28}
    return asyncio.run(_microseconds(count, lambda client: client, carries=False, properties=properties))


def asyncdsm_wrapped(count: int) -> float:
    """Clients that are wrapped."""
    return asyncio.run(_wrapped(count))


async def _wrapped(count: int) -> float:
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of an event
        figure = await _microseconds(count, asyncdsm.wrap, carries=True)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


async def _microseconds(
    count: int, follow: Follow, *, carries: bool, properties: dict[Any, Any] | None = None
) -> float:
    """CPU time per event: the least of some blocks, after one that warms up."""
    from azure.eventhub import EventData
    from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient

    hub, connection = f"benchmark-{os.getpid()}-{carries}-{bool(properties)}", os.environ["BENCHMARK_EVENTHUBS"]
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
                event.properties = dict(properties or {})
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


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


BENCHMARK = Benchmark(
    title="Send and receive an event through azure-eventhub, CPU",
    unit="µs",
    count=2_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("bare, with a property of that size", "bare_with_a_property"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim("of that, the client's own work on a property", _added("bare, with a property of that size"), unit="µs"),
        Claim("an event with asyncdsm, of one without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
    ),
    surroundings=_surroundings,
)
