"""Messages of 200 bytes through azure-servicebus and a broker: CPU of this process for sending and receiving one."""

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
BLOCKS, BATCH = 2, 50
CONTEXT = "dd-pathway-ctx-base64"

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_microseconds(count, lambda client: client, carries=False))


def bare_with_a_property(count: int) -> float:
    """Nobody follows the messages, and each has a property of a context's size, as its program gave it."""
    properties = {"x" * len(CONTEXT): "x" * 28}
    return asyncio.run(_microseconds(count, lambda client: client, carries=False, properties=properties))


def asyncdsm_wrapped(count: int) -> float:
    """A client that is wrapped."""
    return asyncio.run(_wrapped(count))


async def _wrapped(count: int) -> float:
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of a message
        figure = await _microseconds(count, asyncdsm.wrap, carries=True)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


async def _microseconds(
    count: int, follow: Follow, *, carries: bool, properties: dict[Any, Any] | None = None
) -> float:
    """CPU time per message: the least of some blocks, after one that warms up."""
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.aio import ServiceBusClient

    mode: Any = "receiveanddelete"
    figures, last = list[float](), None
    async with (
        follow(ServiceBusClient.from_connection_string(os.environ["BENCHMARK_SERVICEBUS"])) as client,
        client.get_queue_sender("benchmark") as sender,
        client.get_queue_receiver("benchmark", receive_mode=mode) as receiver,
    ):
        for _ in range(BLOCKS + 1):
            start = process_time()
            for _ in range(count // BATCH):
                await sender.send_messages(
                    [ServiceBusMessage(BODY, application_properties=properties) for _ in range(BATCH)]
                )
                left = BATCH
                while left:
                    for message in await receiver.receive_messages(left, max_wait_time=5):
                        last = message
                        left -= 1
            figures.append((process_time() - start) / count * 1e6)
    assert last is not None
    carried = last.application_properties or {}
    assert (CONTEXT.encode() in carried) == carries, "followed by the wrong one, or by nobody"
    return min(figures[1:])


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.azure import azure_server

    with azure_server() as server, sink() as environ:
        yield {**environ, "BENCHMARK_SERVICEBUS": server.connection_string}


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


BENCHMARK = Benchmark(
    title="Send and receive a message through azure-servicebus, CPU",
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
        Claim("a message with asyncdsm, of one without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
    ),
    surroundings=_surroundings,
)
