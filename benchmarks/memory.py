"""Memory of many points, each passed by three checkpoints: what the process grows by."""

from __future__ import annotations

import gc
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant
from benchmarks.sink import sink
from tests import by_hand

TIMES = 3
TAGS = ("direction:out", "topic:orders", "type:kafka")


def asyncdsm_points(count: int) -> float:
    """An aggregator's."""
    from asyncdsm.core import checkpoint, current
    from asyncdsm.core.aggregator import Aggregator
    from asyncdsm.core.edge import Edge
    from asyncdsm.core.pathway import Pathway

    aggregator, edge = Aggregator("bench", None, max_points=count), Edge(*TAGS)
    checkpoint.set_recorder(aggregator)

    def work(parents: range) -> None:
        for _ in range(TIMES):
            for parent in parents:
                current.set_current(Pathway(parent * 0x9E3779B97F4A7C15 % 2**64, 1_000_000_000, 1_000_000_000))
                by_hand.produce(edge, 200)

    work(range(1, 2))
    before = _megabytes()
    work(range(2, count + 1))
    grown = _megabytes() - before
    assert len(edge.points) == count
    return grown


def ddtrace_points(count: int) -> float:
    """A processor's."""
    processor: Any = import_module("ddtrace.internal.datastreams").data_streams_processor()

    def work(parents: range) -> None:
        for _ in range(TIMES):
            for parent in parents:
                hash_ = parent * 0x9E3779B97F4A7C15 % 2**64
                processor.on_checkpoint_creation(hash_, hash_ ^ 1, list(TAGS), 1.7e9, 0.1, 0.2, 200)

    work(range(1, 2))
    before = _megabytes()
    work(range(2, count + 1))
    return _megabytes() - before


def _megabytes() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


BENCHMARK = Benchmark(
    title="Memory of 10,000 points, three checkpoints each",
    unit="MB",
    count=0,
    contestants=(
        Contestant("asyncdsm", "asyncdsm_points", count=10_000),
        Contestant(
            "ddtrace",
            "ddtrace_points",
            {"DD_DATA_STREAMS_ENABLED": "true", "_DD_TRACE_STATS_WRITER_INTERVAL": "3600"},
            count=10_000,
        ),
    ),
    claims=(
        Claim("asyncdsm", lambda figures: figures["asyncdsm"], 2.9, "MB"),
        Claim("of ddtrace", lambda figures: figures["asyncdsm"] / figures["ddtrace"]),
    ),
    surroundings=sink,
)
