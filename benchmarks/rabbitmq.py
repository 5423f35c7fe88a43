"""Messages of 200 bytes through aio-pika and a real RabbitMQ: CPU of this process for publishing and consuming one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = b"x" * 200
BLOCKS = 4
QUEUE = "benchmark"
CONTEXT, TRACE = "dd-pathway-ctx-base64", "traceparent"

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return asyncio.run(_microseconds(count, lambda connection: connection, carried=None))


def bare_with_a_header(count: int) -> float:
    """Nobody follows the messages, and each has a header of a context's size, as its program gave it."""
    header = {"x" * len(CONTEXT): "x" * 28}
    return asyncio.run(_microseconds(count, lambda connection: connection, carried=None, headers=header))


def asyncdsm_wrapped(count: int) -> float:
    """A connection that is wrapped."""
    return asyncio.run(_wrapped(count))


def opentelemetry_instrumented(count: int) -> float:
    """What its instrumentor does to aio-pika, every span recorded and none exported."""
    sdk: Any = import_module("opentelemetry.sdk.trace")
    package: Any = import_module("opentelemetry.instrumentation.aio_pika")
    package.AioPikaInstrumentor().instrument(skip_dep_check=True, tracer_provider=sdk.TracerProvider())
    return asyncio.run(_microseconds(count, lambda connection: connection, carried=TRACE))


async def _wrapped(count: int) -> float:
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of a message
        figure = await _microseconds(count, asyncdsm.wrap, carried=CONTEXT)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


async def _microseconds(
    count: int, follow: Follow, *, carried: str | None, headers: dict[str, Any] | None = None
) -> float:
    """CPU time per message: the least of some blocks, behind one that warms up."""
    import aio_pika

    async with follow(await aio_pika.connect_robust(os.environ["BENCHMARK_RABBITMQ"])) as connection:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=500)
        queue = await channel.declare_queue(QUEUE, auto_delete=False)
        figures = [await _block(channel, queue, count, carried, headers) for _ in range(BLOCKS + 1)]
    return min(figures[1:])


async def _block(channel: Any, queue: Any, count: int, carried: str | None, headers: dict[str, Any] | None) -> float:
    from aio_pika import Message

    done, left, last = asyncio.Event(), count, dict[str, Any]()

    async def callback(message: Any) -> None:
        nonlocal left, last
        left -= 1
        last = message.headers
        if left == 0:
            done.set()

    start = process_time()
    for _ in range(count):
        await channel.default_exchange.publish(Message(BODY, headers=headers), QUEUE)
    tag = await queue.consume(callback, no_ack=True)
    await done.wait()
    spent = process_time() - start
    await queue.cancel(tag)
    assert last.keys() & {CONTEXT, TRACE} == ({carried} if carried else set()), (
        "followed by the wrong one, or by nobody"
    )
    return spent / count * 1e6


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.rabbitmq import rabbitmq

    with rabbitmq() as broker, sink() as environ:
        yield {**environ, "BENCHMARK_RABBITMQ": broker.url}


def _added(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures["bare"]


def _share(figures: Figures) -> float:
    return _added("asyncdsm.wrap")(figures) / _added("OpenTelemetry")(figures)


BENCHMARK = Benchmark(
    title="Publish and consume a message through aio-pika, CPU",
    unit="µs",
    count=3_000,
    contestants=(
        Contestant("bare", "bare"),
        Contestant("bare, with a header of that size", "bare_with_a_header"),
        Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
        Contestant("OpenTelemetry", "opentelemetry_instrumented"),
    ),
    claims=(
        Claim("what asyncdsm adds", _added("asyncdsm.wrap"), unit="µs"),
        Claim("of that, aio-pika's own work on one more header", _added("bare, with a header of that size"), unit="µs"),
        Claim("what OpenTelemetry adds", _added("OpenTelemetry"), unit="µs"),
        Claim("what asyncdsm adds, of OpenTelemetry", _share),
        Claim("a message with asyncdsm, of one without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
    ),
    surroundings=_surroundings,
)
