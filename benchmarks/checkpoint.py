"""One message passed on: its consume checkpoint and the produce checkpoint of the next, CPU time of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant
from benchmarks.sink import sink

BLOCKS = 5


def asyncdsm_manual(count: int) -> float:
    """The functions that a user calls."""
    from asyncdsm import set_consume_checkpoint, set_produce_checkpoint

    order, invoice = dict[str, str](), dict[str, str]()

    def pair() -> None:
        set_consume_checkpoint("kafka", "orders", order.get)
        set_produce_checkpoint("kafka", "invoices", invoice.__setitem__)

    def first() -> None:
        set_produce_checkpoint("kafka", "orders", order.__setitem__)

    return asyncio.run(_running(first, pair, count))


def asyncdsm_adapter(count: int) -> float:
    """The functions that an integration calls."""
    from asyncdsm import checkpoint
    from asyncdsm.edge import Edge

    out, into = Edge("direction:out", "topic:a", "type:kafka"), Edge("direction:in", "topic:b", "type:kafka")
    headers = list[str | None]()

    def pair() -> None:
        checkpoint.consume(into, headers[0], 200)
        checkpoint.produce(out, 200)

    return asyncio.run(_running(lambda: headers.append(checkpoint.produce(out)), pair, count))


def ddtrace_manual(count: int) -> float:
    """The functions that a user of ddtrace calls."""
    ddtrace: Any = import_module("ddtrace.data_streams")
    set_consume_checkpoint, set_produce_checkpoint = ddtrace.set_consume_checkpoint, ddtrace.set_produce_checkpoint
    order, invoice = dict[str, str](), dict[str, str]()
    set_produce_checkpoint("kafka", "orders", order.__setitem__)

    def pair() -> None:
        set_consume_checkpoint("kafka", "orders", order.get)
        set_produce_checkpoint("kafka", "invoices", invoice.__setitem__)

    figure = _microseconds(pair, count)
    assert invoice, "ddtrace did nothing"
    return figure


async def _running(first: Callable[[], object], pair: Callable[[], None], count: int) -> float:
    from asyncdsm import DataStreams

    async with DataStreams() as streams:
        first()
        figure = _microseconds(pair, count)
        assert streams.stats.recorded == 1 + 2 * (BLOCKS + 1) * count
    return figure


def _microseconds(pair: Callable[[], None], count: int) -> float:
    """CPU time per call: the least of some blocks, behind one that warms up."""
    figures = list[float]()
    for _ in range(BLOCKS + 1):
        start = process_time()
        for _ in range(count):
            pair()
        figures.append((process_time() - start) / count * 1e6)
    return min(figures[1:])


BENCHMARK = Benchmark(
    title="One consume and one produce checkpoint, CPU",
    unit="µs",
    count=20_000,
    contestants=(
        Contestant("asyncdsm, by hand", "asyncdsm_manual"),
        Contestant("asyncdsm, as an adapter", "asyncdsm_adapter"),
        Contestant("ddtrace, by hand", "ddtrace_manual", {"DD_DATA_STREAMS_ENABLED": "true"}),
    ),
    claims=(
        Claim("by hand, of ddtrace's", lambda f: f["asyncdsm, by hand"] / f["ddtrace, by hand"], 1 / 10),
        Claim("as an adapter, of ddtrace's", lambda f: f["asyncdsm, as an adapter"] / f["ddtrace, by hand"], 1 / 10),
    ),
    surroundings=sink,
)
