"""Bytes that a flush puts on the wire, of points passed by ten checkpoints each."""

from __future__ import annotations

from importlib import import_module
from random import Random
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

TIMES = 10
COUNTS = (1, 100, 10_000)
TAGS = ("direction:out", "topic:orders", "type:kafka")


def asyncdsm_payload(count: int) -> int:
    """What is sent, headers of HTTP aside."""
    from asyncdsm import Settings
    from asyncdsm.core.aggregator import Aggregator
    from asyncdsm.core.edge import Edge
    from asyncdsm.delivery.payload import pack

    random, edge = Random(count), Edge(*TAGS)
    aggregator = Aggregator("bench", None, max_points=count, now=lambda: 1_700_000_000_000_000_000)
    for parent in range(count):
        point = aggregator.point(edge, parent)
        for _ in range(TIMES):
            hop, way = round(random.expovariate(100) * 1e9), round(random.expovariate(10) * 1e9)
            aggregator.record(point, aggregator.now(), hop, way, 200)
    (bucket,) = aggregator.take()
    return len(pack(bucket, aggregator.bucket_ns, Settings(service="bench"), bool).body)


def ddtrace_payload(count: int) -> int:
    """The same of ddtrace, which compresses too."""
    processor: Any = import_module("ddtrace.internal.datastreams").data_streams_processor()
    random, sent = Random(count), list[bytes]()
    for parent in range(count):
        for _ in range(TIMES):
            hop, way = random.expovariate(100), random.expovariate(10)
            processor.on_checkpoint_creation(parent ^ 0x5EED << 40, parent, list(TAGS), 1.7e9, way, hop, 200)
    processor._flush_stats = sent.append
    processor._flush_stats_with_backoff = sent.append
    processor.periodic()
    assert sent
    return sum(map(len, sent))


def _share(count: int) -> Claim:
    def share(figures: Figures) -> float:
        return figures[f"asyncdsm, {count} points"] / figures[f"ddtrace, {count} points"]

    return Claim(f"{count} points, of ddtrace", share)


DDTRACE = {"DD_DATA_STREAMS_ENABLED": "true", "_DD_TRACE_STATS_WRITER_INTERVAL": "3600"}

BENCHMARK = Benchmark(
    title="Bytes on the wire per flush",
    unit="bytes",
    count=0,
    contestants=(
        *(Contestant(f"asyncdsm, {count} points", "asyncdsm_payload", count=count) for count in COUNTS),
        *(Contestant(f"ddtrace, {count} points", "ddtrace_payload", DDTRACE, count=count) for count in COUNTS),
    ),
    claims=tuple(_share(count) for count in COUNTS),
    surroundings=sink,
)
