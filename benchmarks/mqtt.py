"""Messages of 200 bytes through aiomqtt and a real broker: CPU of this process for publishing and consuming one."""

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
BLOCKS = 4
TOPIC = "benchmark"
CONTEXT = "dd-pathway-ctx-base64"

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_microseconds(count, lambda client: client, carries=False))


def bare_with_a_property(count: int) -> float:
    """Nobody follows the messages, and each has a user property of a context's size, as its program gave it."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = ("x" * len(CONTEXT), "x" * 28)
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


async def _microseconds(count: int, follow: Follow, *, carries: bool, properties: Any = None) -> float:
    """CPU time per message: the least of some blocks, after one that warms up."""
    from aiomqtt import Client, ProtocolVersion

    port = int(os.environ["BENCHMARK_MQTT_PORT"])
    async with follow(Client("127.0.0.1", port, protocol=ProtocolVersion.V5)) as client:
        await client.subscribe(TOPIC)
        figures = list[float]()
        for _ in range(BLOCKS + 1):
            start = process_time()
            reading = asyncio.create_task(_read(client, count))
            for number in range(count):
                await client.publish(TOPIC, BODY, properties=properties)
                if number % 100 == 99:
                    await asyncio.sleep(0)  # lets the client write and read
            last = await reading
            figures.append((process_time() - start) / count * 1e6)
            pairs = dict(getattr(last.properties, "UserProperty", ()))
            assert (CONTEXT in pairs) == carries, "followed by the wrong one, or by nobody"
    return min(figures[1:])


async def _read(client: Any, count: int) -> Any:
    left, last = count, None
    async for message in client.messages:
        left, last = left - 1, message
        if left == 0:
            break
    return last


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.mosquitto import run_mosquitto

    with run_mosquitto() as broker, sink() as environ:
        yield {**environ, "BENCHMARK_MQTT_PORT": str(broker.port)}


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


BENCHMARK = Benchmark(
    title="Publish and consume a message through aiomqtt, CPU",
    unit="µs",
    count=2_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("bare, with a property of that size", "bare_with_a_property"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim("of that, aiomqtt's own work on a property", _added("bare, with a property of that size"), unit="µs"),
        Claim("a message with asyncdsm, of one without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
    ),
    surroundings=_surroundings,
)
