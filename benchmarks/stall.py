"""Points flush: the longest wait of a task that sleeps a millisecond and makes a checkpoint, again and again.

What the same task waits for while nothing flushes is taken off: the machine's share. With OTLP as well, the same points
are of as many edges as OTLP has series for, and are sent to both.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable
from importlib import import_module
from time import perf_counter
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant
from benchmarks.sink import sink
from tests import by_hand

EDGES = 1_999
"""With the one of the ticks, as many as OTLP has series for."""
SETTLE_SECONDS = 1.0
"""What starts with a library has started by then."""

Tick = Callable[[], object]


def asyncdsm_idle(count: int) -> float:
    """Points wait, nothing flushes."""
    return asyncio.run(_asyncdsm(count, flushes=False, warm=True))


def asyncdsm_flush(count: int) -> float:
    """`DataStreams.flush`, in this event loop and its worker thread."""
    return asyncio.run(_asyncdsm(count, flushes=True, warm=True))


def asyncdsm_first_flush(count: int) -> float:
    """The same as the first of this process, which imports what encodes."""
    return asyncio.run(_asyncdsm(count, flushes=True, warm=False))


def asyncdsm_many_edges(count: int) -> float:
    """A flush to the agent alone, of points of many edges."""
    return asyncio.run(_asyncdsm(count, flushes=True, warm=True, edges=EDGES))


def asyncdsm_with_otlp(count: int) -> float:
    """A flush to the agent and over OTLP, of points of many edges."""
    return asyncio.run(_asyncdsm(count, flushes=True, warm=True, edges=EDGES, otlp=True))


def ddtrace_idle(count: int) -> float:
    """Points wait, nothing flushes."""
    return asyncio.run(_ddtrace(count, flushes=False))


def ddtrace_flush(count: int) -> float:
    """`DataStreamsProcessor.periodic`, in a thread as always."""
    return asyncio.run(_ddtrace(count, flushes=True))


async def _asyncdsm(count: int, *, flushes: bool, warm: bool, edges: int = 1, otlp: bool = False) -> float:
    from asyncdsm import DataStreams, Settings
    from asyncdsm.core import current
    from asyncdsm.core.edge import Edge
    from asyncdsm.core.pathway import Pathway

    ticks, *orders = (Edge("direction:out", f"topic:topic-{number}", "type:kafka") for number in range(edges + 1))
    more: dict[str, Any] = {"otlp_endpoint": f"{os.environ['DD_TRACE_AGENT_URL']}/v1/metrics"} if otlp else {}
    settings = Settings.from_environ(
        os.environ, flush_seconds=3600.0, shutdown_seconds=60.0, max_points=count + 1, **more
    )
    async with DataStreams(settings) as streams:
        await asyncio.sleep(SETTLE_SECONDS)
        if warm:
            by_hand.produce(ticks, 200)
            await streams.flush()
        for parent in range(1, count + 1):
            current.set_current(Pathway(parent, 1, 1))
            by_hand.produce(orders[parent % edges], 200)
        current.set_current(None)
        longest = await _longest_wait(lambda: by_hand.produce(ticks, 200), streams.flush if flushes else _pause)
        assert not flushes or streams.stats.delivered >= count
        assert not otlp or (streams.stats.otlp is not None and streams.stats.otlp.delivered >= count)
    return longest


async def _ddtrace(count: int, *, flushes: bool) -> float:
    datastreams: Any = import_module("ddtrace.internal.datastreams")
    processor = datastreams.data_streams_processor()
    await asyncio.sleep(SETTLE_SECONDS)
    out = ["direction:out", "topic:orders", "type:kafka"]
    for parent in range(1, count + 1):
        processor.on_checkpoint_creation(parent, parent, out, 1.7e9, 0.1, 0.1, 200)

    def tick() -> None:
        processor.new_pathway()
        processor.set_checkpoint(["direction:out", "topic:ticks", "type:kafka"], payload_size=200)

    return await _longest_wait(tick, (lambda: _thread(processor.periodic)) if flushes else _pause)


async def _thread(function: Callable[[], object]) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def run() -> None:
        function()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run).start()
    await done.wait()


async def _pause() -> None:
    await asyncio.sleep(0.5)


async def _longest_wait(tick: Tick, work: Callable[[], Awaitable[object]]) -> float:
    """Return the longest that a tick waited while `work` went on, in ms."""
    waits = list[float]()

    async def ticker() -> None:
        while True:
            start = perf_counter()
            await asyncio.sleep(0.001)
            tick()
            waits.append(perf_counter() - start)

    gc.collect()  # else one collection of all that was imported is due at some time, in whatever goes on then
    task = asyncio.create_task(ticker())
    await asyncio.sleep(0.05)
    waits.clear()
    await work()
    await asyncio.sleep(0.002)
    task.cancel()
    return max(waits) * 1e3


DDTRACE = {"DD_DATA_STREAMS_ENABLED": "true", "_DD_TRACE_STATS_WRITER_INTERVAL": "3600"}

COUNTS = (1, 100, 10_000, 100_000)
MANY = 10_000
TARGETS = {MANY: 0.5, 100_000: 5.0}
"""By points, in ms."""


def _ours(what: str, count: int = MANY) -> str:
    return f"asyncdsm, {what}, {count} points"


def _adds(count: int, target: float | None) -> Claim:
    return Claim(
        f"asyncdsm adds, {count} points", lambda f: f[_ours("flushing", count)] - f[_ours("idle")], target, "ms"
    )


BENCHMARK = Benchmark(
    title="Longest wait of the event loop while points flush",
    unit="ms",
    count=MANY,
    contestants=(
        Contestant(_ours("idle"), "asyncdsm_idle", count=MANY),
        *(Contestant(_ours("flushing", count), "asyncdsm_flush", count=count) for count in COUNTS),
        Contestant(_ours("flushing for the first time"), "asyncdsm_first_flush", count=MANY),
        Contestant(_ours("flushing many edges"), "asyncdsm_many_edges", count=MANY),
        Contestant(_ours("flushing many edges, OTLP as well"), "asyncdsm_with_otlp", count=MANY),
        Contestant("ddtrace, idle, 10000 points", "ddtrace_idle", DDTRACE, count=MANY),
        Contestant("ddtrace, flushing, 10000 points", "ddtrace_flush", DDTRACE, count=MANY),
    ),
    claims=(
        *(_adds(count, TARGETS.get(count)) for count in COUNTS),
        Claim(
            "asyncdsm adds, the first time",
            lambda f: f[_ours("flushing for the first time")] - f[_ours("idle")],
            3,
            "ms",
        ),
        Claim(
            "asyncdsm with OTLP as well adds to many edges",
            lambda f: f[_ours("flushing many edges, OTLP as well")] - f[_ours("flushing many edges")],
            0.5,
            "ms",
        ),
        Claim(
            "ddtrace adds",
            lambda f: f["ddtrace, flushing, 10000 points"] - f["ddtrace, idle, 10000 points"],
            unit="ms",
        ),
    ),
    surroundings=sink,
)
