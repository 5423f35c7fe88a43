"""Messages of 200 bytes through Kombu, in memory and on a real RabbitMQ: CPU of this process to send and take one."""

from __future__ import annotations

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
CONTEXT = "dd-pathway-ctx-base64"
MEMORY = {"BENCHMARK_BROKER": "memory://"}
TRACING = {"DD_DATA_STREAMS_ENABLED": "true", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return _microseconds(count, carried=False)


def asyncdsm_instrumented(count: int) -> float:
    """Every connection followed."""
    import asyncdsm

    asyncdsm.instrument("kombu")
    with asyncdsm.DataStreams() as streams:
        figure = _microseconds(count, carried=True)
        assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figure


def ddtrace_patched(count: int) -> float:
    """What ddtrace's patch does, with Data Streams on: spans as well, as it comes."""
    import_module("ddtrace").patch(kombu=True)
    return _microseconds(count, carried=True)


def _microseconds(count: int, *, carried: bool) -> float:
    """CPU time per message: the least of some blocks, behind one that warms up."""
    from kombu.connection import Connection

    with Connection(os.environ.get("BENCHMARK_BROKER") or os.environ["BENCHMARK_RABBITMQ"]) as connection:
        figures = [_block(connection, count, carried) for _ in range(BLOCKS + 1)]
    return min(figures[1:])


def _block(connection: Any, count: int, carried: bool) -> float:
    from kombu.entity import Queue

    left, last = count, dict[str, Any]()

    def callback(_: Any, message: Any) -> None:
        nonlocal left, last
        left -= 1
        last = message.headers

    producer, queue = connection.Producer(), Queue(QUEUE, durable=False)(connection.default_channel)
    queue.declare()
    start = process_time()
    for _ in range(count):
        producer.publish(BODY, routing_key=QUEUE)
    with connection.Consumer(queue, callbacks=[callback], no_ack=True):
        while left:
            connection.drain_events(timeout=30)
    spent = process_time() - start
    assert (CONTEXT in last) == carried, "followed by the wrong one, or by nobody"
    return spent / count * 1e6


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.rabbitmq import rabbitmq

    with rabbitmq() as broker, sink() as environ:
        yield {**environ, "BENCHMARK_RABBITMQ": broker.url}


def _added(name: str, to: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures[to]


def _share(where: str) -> Callable[[Figures], float]:
    bare = f"bare, {where}"
    return lambda figures: _added(f"asyncdsm, {where}", bare)(figures) / _added(f"ddtrace, {where}", bare)(figures)


def _contestants(where: str, environ: Mapping[str, str]) -> tuple[Contestant, ...]:
    return (
        Contestant(f"bare, {where}", "bare", environ),
        Contestant(f"asyncdsm, {where}", "asyncdsm_instrumented", environ),
        Contestant(f"ddtrace, {where}", "ddtrace_patched", {**environ, **TRACING}),
    )


def _claims(where: str) -> tuple[Claim, ...]:
    return (
        Claim(f"what asyncdsm adds, {where}", _added(f"asyncdsm, {where}", f"bare, {where}"), unit="µs"),
        Claim(f"what ddtrace adds, {where}", _added(f"ddtrace, {where}", f"bare, {where}"), unit="µs"),
        Claim(f"what asyncdsm adds, of ddtrace, {where}", _share(where)),
    )


BENCHMARK = Benchmark(
    title="Publish and consume a message through Kombu, CPU",
    unit="µs",
    count=3_000,
    contestants=(*_contestants("in memory", MEMORY), *_contestants("on RabbitMQ", {})),
    claims=(*_claims("in memory"), *_claims("on RabbitMQ")),
    surroundings=_surroundings,
)
