"""Checkpoints by themselves, CPU of one: where a pathway begins, on the way, and the two of a message passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.cores import target
from benchmarks.messages import contexts
from benchmarks.sink import sink

BLOCKS = 8
HEADER = "dd-pathway-ctx-base64"

ORIGIN, CONSUME, PAIR = "a produce at the origin", "a consume", "a consume and the produce after it"
PARTS = (ORIGIN, CONSUME, PAIR)

Arrive = Callable[[Any], object]
Leave = Callable[[], object]


def asyncdsm_adapter(count: int) -> dict[str, float]:
    """The functions that an integration calls."""
    from asyncdsm.core import checkpoint
    from asyncdsm.core.edge import Edge

    out, into = Edge("direction:out", "topic:a", "type:kafka"), Edge("direction:in", "topic:b", "type:kafka")
    messages = [text.encode() for text in contexts(count)]

    def arrive(header: bytes) -> None:
        checkpoint.consume(into, header, 200)

    def leave() -> None:
        pending = checkpoint.begin_produce(out, 200)
        if pending is not None:
            checkpoint.finish_produce(pending)

    return asyncio.run(_running(messages, arrive, leave))


def asyncdsm_manual(count: int) -> dict[str, float]:
    """The functions that a user calls."""
    from asyncdsm import set_consume_checkpoint, set_produce_checkpoint

    messages, invoice = [{HEADER: text} for text in contexts(count)], dict[str, str]()

    def arrive(message: dict[str, str]) -> None:
        set_consume_checkpoint("kafka", "orders", message.get)

    def leave() -> None:
        set_produce_checkpoint("kafka", "invoices", invoice.__setitem__)

    return asyncio.run(_running(messages, arrive, leave))


def ddtrace_manual(count: int) -> dict[str, float]:
    """The functions that a user of ddtrace calls."""
    ddtrace: Any = import_module("ddtrace.data_streams")
    processor: Any = import_module("ddtrace.internal.datastreams").data_streams_processor()
    messages, invoice = [{HEADER: text} for text in contexts(count)], dict[str, str]()

    def arrive(message: dict[str, str]) -> None:
        ddtrace.set_consume_checkpoint("kafka", "orders", message.get)

    def leave() -> None:
        ddtrace.set_produce_checkpoint("kafka", "invoices", invoice.__setitem__)

    figures = _figures(messages, arrive, leave, processor.new_pathway)
    assert invoice, "ddtrace did nothing"
    return figures


def opentelemetry_propagation(count: int) -> dict[str, float]:
    """`extract` and `attach`, and `inject`: no span is made, nothing measured."""
    propagate: Any = import_module("opentelemetry.propagate")
    context: Any = import_module("opentelemetry.context")
    trace: Any = import_module("opentelemetry.trace")
    messages = [{"traceparent": f"00-{number + 1:032x}-{number + 1:016x}-01"} for number in range(count)]
    sent = dict[str, str]()

    def arrive(message: dict[str, str]) -> None:
        context.attach(propagate.extract(message))

    def leave() -> None:
        propagate.inject(sent)

    span = trace.NonRecordingSpan(trace.SpanContext(1, 1, False, trace.TraceFlags(1)))
    figures = _figures(messages, arrive, leave, lambda: context.attach(trace.set_span_in_context(span, {})))
    assert sent, "OpenTelemetry did nothing"
    return figures


async def _running(messages: list[Any], arrive: Arrive, leave: Leave) -> dict[str, float]:
    from asyncdsm import DataStreams
    from asyncdsm.core import current

    async with DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of a checkpoint
        figures = _figures(messages, arrive, leave, lambda: current.set_current(None))
        assert streams.stats.recorded == 4 * (BLOCKS + 1) * len(messages)
        assert not streams.stats.malformed
    return figures


def _figures(messages: list[Any], arrive: Arrive, leave: Leave, begin: Callable[[], object]) -> dict[str, float]:
    def pair(message: Any) -> None:
        arrive(message)
        leave()

    begin()
    origin = _microseconds(messages, lambda _: leave())
    return {ORIGIN: origin, CONSUME: _microseconds(messages, arrive), PAIR: _microseconds(messages, pair)}


def _microseconds(messages: list[Any], work: Callable[[Any], object]) -> float:
    """CPU time per message: the least of some blocks, behind one that warms up, without the call of `work` itself."""

    def nothing(message: Any) -> None:
        pass

    return (least_seconds(messages, work) - least_seconds(messages, nothing)) * 1e6


def least_seconds(messages: list[Any], work: Callable[[Any], object]) -> float:
    figures = list[float]()
    for _ in range(BLOCKS + 1):
        start = process_time()
        for message in messages:
            work(message)
        figures.append((process_time() - start) / len(messages))
    return min(figures[1:])


def _share(part: str, ours: str, theirs: str) -> Callable[[Figures], float]:
    return lambda figures: figures[f"{part}: {ours}"] / figures[f"{part}: {theirs}"]


ADAPTER, MANUAL, DDTRACE, OTEL = "asyncdsm, as an adapter", "asyncdsm, by hand", "ddtrace", "OpenTelemetry"

BENCHMARK = Benchmark(
    title="Checkpoints, CPU of one",
    unit="µs",
    count=10_000,
    contestants=(
        Contestant(ADAPTER, "asyncdsm_adapter", parts=PARTS),
        Contestant(MANUAL, "asyncdsm_manual", parts=PARTS),
        Contestant(DDTRACE, "ddtrace_manual", {"DD_DATA_STREAMS_ENABLED": "true"}, parts=PARTS),
        Contestant(OTEL, "opentelemetry_propagation", parts=PARTS),
    ),
    claims=(
        Claim("both, as an adapter, of ddtrace", _share(PAIR, ADAPTER, DDTRACE), target(native=0.008, plain=0.1)),
        Claim("both, by hand, of ddtrace", _share(PAIR, MANUAL, DDTRACE), target(native=0.02, plain=None)),
        Claim("both, as an adapter, of OpenTelemetry's extract and inject", _share(PAIR, ADAPTER, OTEL)),
    ),
    surroundings=sink,
)
