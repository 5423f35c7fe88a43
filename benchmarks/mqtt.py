"""Messages of 200 bytes through aiomqtt and a real broker: CPU of this process for publishing and consuming one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import process_time
from typing import Any

from benchmarks.client_contest import (
    BODY,
    CONTEXT,
    FIELD_NAME,
    FIELD_VALUE,
    Follow,
    follow_nothing,
    make_benchmark,
    measure_wrapped,
)
from benchmarks.sink import sink

BLOCKS = 4
TOPIC = "benchmark"


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_microseconds(count, follow_nothing, carries=False))


def bare_with_a_field(count: int) -> float:
    """Nobody follows the messages, and each has a user property of a context's size, as its program gave it."""
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.UserProperty = (FIELD_NAME, FIELD_VALUE)
    return asyncio.run(_microseconds(count, follow_nothing, carries=False, properties=properties))


def asyncdsm_wrapped(count: int) -> float:
    """A client that is wrapped."""
    return asyncio.run(measure_wrapped(partial(_microseconds, count, carries=True), 2 * (BLOCKS + 1) * count))


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


BENCHMARK = make_benchmark("aiomqtt", "Publish and consume a message", 2_000, _surroundings, "a property")
