"""Messages of 200 bytes through aiokafka and Apache Kafka: CPU of this process for producing and consuming one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.checkpoint import CONSUME, ORIGIN, asyncdsm_adapter
from benchmarks.checkpoint import PARTS as CHECKPOINTS
from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = b"x" * 200
BLOCKS = 4
CONTEXT, TRACE = "dd-pathway-ctx-base64", "traceparent"
DDTRACE = {"DD_DATA_STREAMS_ENABLED": "true"}

SEND, LINGER, SEND_BATCH, GETONE, GETMANY = "send", "send, linger_ms=5", "send_batch", "getone", "getmany"
PARTS = (SEND, LINGER, SEND_BATCH, GETONE, GETMANY)

Follow = Callable[[Any], Any]
Headers = list[tuple[str, bytes]] | None
Phase = tuple[Callable[..., Awaitable[Any]], str]
"""What is done with a client, a topic and a count, and the name of its figure."""


def bare(count: int) -> dict[str, float]:
    """Nobody follows the messages."""
    return asyncio.run(_figures(_topics(), count, lambda client: client, carried=None))


def bare_with_a_header(count: int) -> dict[str, float]:
    """Nobody follows the messages, and each has a header of a context's size, as its program gave it."""
    headers = [("x" * len(CONTEXT), b"x" * 28)]
    return asyncio.run(_figures(_topics(), count, lambda client: client, carried=None, headers=headers))


def checkpoints(count: int) -> dict[str, float]:
    """What the two checkpoints of a message take by themselves."""
    return asyncdsm_adapter(count)


def asyncdsm_wrapped(count: int) -> dict[str, float]:
    """Producers and consumers, each wrapped."""
    return asyncio.run(_wrapped(_topics(), count))


def ddtrace_patched(count: int) -> dict[str, float]:
    """What `ddtrace.patch` does to aiokafka. It does not see batches that the program builds."""
    topics = _topics()
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(aiokafka=True)
    return asyncio.run(_figures(topics, count, lambda client: client, carried=CONTEXT, in_batches=False))


def opentelemetry_instrumented(count: int) -> dict[str, float]:
    """What its instrumentor does to aiokafka, every span recorded and none exported. It does not see those batches."""
    topics = _topics()
    sdk: Any = import_module("opentelemetry.sdk.trace")
    package: Any = import_module("opentelemetry.instrumentation.aiokafka")
    package.AIOKafkaInstrumentor().instrument(skip_dep_check=True, tracer_provider=sdk.TracerProvider())
    return asyncio.run(_figures(topics, count, lambda client: client, carried=TRACE, in_batches=False))


async def _wrapped(topics: list[str], count: int) -> dict[str, float]:
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of a message
        figures = await _figures(topics, count, asyncdsm.wrap, carried=CONTEXT)
        assert streams.stats.recorded == 2 * len(topics) * (BLOCKS + 1) * count
        assert not streams.stats.errors
    return figures


async def _figures(
    topics: list[str],
    count: int,
    follow: Follow,
    *,
    carried: str | None,
    in_batches: bool = True,
    headers: Headers = None,
) -> dict[str, float]:
    one, lingering, batches = topics
    send = partial(_send, headers=headers)
    return {
        **await _measured(one, count, follow, (send, SEND), (_getone, GETONE), carried=carried),
        **await _measured(lingering, count, follow, (send, LINGER), (_getmany, GETMANY), carried=carried, linger_ms=5),
        **await _measured(
            batches, count, follow, (_send_batch, SEND_BATCH), (_getmany, ""), carried=carried if in_batches else None
        ),
    }


async def _measured(
    topic: str,
    count: int,
    follow: Follow,
    produce: Phase,
    consume: Phase,
    *,
    carried: str | None,
    linger_ms: int = 0,
) -> dict[str, float]:
    """CPU time per message of both phases: the least of some blocks, behind one that warms up."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    broker = os.environ["BENCHMARK_KAFKA"]
    producer: Any = follow(AIOKafkaProducer(bootstrap_servers=broker, linger_ms=linger_ms))
    consumer: Any = follow(
        AIOKafkaConsumer(topic, bootstrap_servers=broker, group_id=topic, auto_offset_reset="earliest")
    )
    spent: list[tuple[float, float]] = []
    async with producer, consumer:
        for _ in range(BLOCKS + 1):
            start = process_time()
            await produce[0](producer, topic, count)
            between = process_time()
            record = await consume[0](consumer, count)
            spent.append((between - start, process_time() - between))
            found = dict(record.headers).keys() & {CONTEXT, TRACE}
            assert found == ({carried} if carried else set()), "followed by the wrong one, or by nobody"
    least = [min(figures) / count * 1e6 for figures in zip(*spent[1:], strict=True)]
    return {name: figure for (_, name), figure in zip((produce, consume), least, strict=True) if name}


async def _send(producer: Any, topic: str, count: int, headers: Headers) -> None:
    for _ in range(count):
        await producer.send(topic, BODY, headers=headers)
    await producer.flush()


async def _send_batch(producer: Any, topic: str, count: int) -> None:
    left = count
    while left:
        batch = producer.create_batch()
        while left and batch.append(key=None, value=BODY, timestamp=None) is not None:
            left -= 1
        batch.close()
        await (await producer.send_batch(batch, topic, partition=0))


async def _getone(consumer: Any, count: int) -> Any:
    record: Any = None
    for _ in range(count):
        record = await consumer.getone()
    return record


async def _getmany(consumer: Any, count: int) -> Any:
    record, left = None, count
    while left:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            for record in records:  # noqa: B007  (a loop makes each message current)
                left -= 1
    return record


def _topics() -> list[str]:
    from tests.brokers.kafka import Kafka

    kafka = Kafka(os.environ["BENCHMARK_KAFKA"])
    return [kafka.topic() for _ in range(3)]


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.apache_kafka import apache_kafka

    with apache_kafka() as kafka, sink() as environ:
        yield {**environ, "BENCHMARK_KAFKA": kafka.bootstrap}


def _added(name: str, *parts: str) -> Callable[[Figures], float]:
    return lambda figures: sum(figures[f"{part}: {name}"] - figures[f"{part}: bare"] for part in parts)


def _beyond(figures: Figures) -> float:
    two = figures[f"{ORIGIN}: {OURS_ALONE}"] + figures[f"{CONSUME}: {OURS_ALONE}"]
    return _added(OURS, SEND, GETONE)(figures) - _added(HEADER, SEND, GETONE)(figures) - two


def _share(name: str, *parts: str) -> Callable[[Figures], float]:
    return lambda figures: _added(OURS, *parts)(figures) / _added(name, *parts)(figures)


def _of_bare(figures: Figures) -> float:
    return _added(OURS, SEND, GETONE)(figures) / sum(figures[f"{part}: bare"] for part in (SEND, GETONE))


HEADER, OURS_ALONE = "bare, with a header of that size", "asyncdsm's checkpoints alone"
OURS, DD, DD_OFF, OTEL = "asyncdsm.wrap", "ddtrace", "ddtrace, DD_TRACE_ENABLED=false", "OpenTelemetry"

BENCHMARK = Benchmark(
    title="Produce and consume a message through aiokafka, CPU",
    unit="µs",
    count=5_000,
    contestants=(
        Contestant("bare", "bare", parts=PARTS),
        Contestant(HEADER, "bare_with_a_header", parts=PARTS),
        Contestant(OURS_ALONE, "checkpoints", parts=CHECKPOINTS),
        Contestant(OURS, "asyncdsm_wrapped", parts=PARTS),
        Contestant(DD, "ddtrace_patched", DDTRACE, parts=PARTS),
        Contestant(DD_OFF, "ddtrace_patched", {**DDTRACE, "DD_TRACE_ENABLED": "false"}, parts=PARTS),
        Contestant(OTEL, "opentelemetry_instrumented", parts=PARTS),
    ),
    claims=(
        *(Claim(f"{part}: asyncdsm adds", _added(OURS, part), unit="µs") for part in PARTS),
        Claim("send and getone: asyncdsm adds", _added(OURS, SEND, GETONE), unit="µs"),
        Claim("of that, aiokafka's own work on one more header", _added(HEADER, SEND, GETONE), unit="µs"),
        Claim("of that, what is neither header nor checkpoint", _beyond, 1.0, unit="µs"),
        Claim("send and getone: ddtrace adds", _added(DD, SEND, GETONE), unit="µs"),
        Claim("send and getone: OpenTelemetry adds", _added(OTEL, SEND, GETONE), unit="µs"),
        Claim("what asyncdsm adds, of ddtrace", _share(DD, SEND, GETONE), 0.010),
        Claim("what asyncdsm adds, of ddtrace, DD_TRACE_ENABLED=false", _share(DD_OFF, SEND, GETONE), 1 / 40),
        Claim("what asyncdsm adds, of OpenTelemetry", _share(OTEL, SEND, GETONE), 0.035),
        Claim("what asyncdsm adds, of the bare client", _of_bare, 0.08),
        Claim("send with linger and getmany: of ddtrace", _share(DD, LINGER, GETMANY), 1 / 40),
        Claim("send with linger and getmany: of OpenTelemetry", _share(OTEL, LINGER, GETMANY), 1 / 18),
    ),
    surroundings=_surroundings,
)
