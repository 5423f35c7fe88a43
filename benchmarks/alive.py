"""A consume checkpoint where many points are alive, of messages that come from all of them in no order."""

from __future__ import annotations

import gc
import random
from time import process_time

from benchmarks.contest import Benchmark, Claim, Contestant
from benchmarks.messages import contexts
from tests import by_hand

BLOCKS, MESSAGES = 8, 20_000
COUNTS = (1, 100, 10_000, 100_000)


def consume(points: int) -> float:
    """CPU time of one, in µs: the least of some blocks, behind those that make the points."""
    from asyncdsm.core import checkpoint
    from asyncdsm.core.aggregator import Aggregator
    from asyncdsm.core.edge import Edge

    aggregator, edge = Aggregator("bench", None, max_points=points), Edge("direction:in", "topic:a", "type:kafka")
    checkpoint.set_recorder(aggregator)
    parents = [random.getrandbits(64) for _ in range(points)]
    figures = list[float]()
    for parent in parents:
        by_hand.consume(edge, contexts(1, [parent])[0], 200)
    for _ in range(BLOCKS):
        messages = contexts(MESSAGES, parents)
        gc.collect()
        start = process_time()
        for message in messages:
            checkpoint.consume(edge, message, 200)
        figures.append((process_time() - start) / MESSAGES * 1e6)
    assert aggregator.stats().dropped == 0
    assert len(edge.points) == points
    return min(figures)


def _of_one(points: int) -> Claim:
    target = 1.2 if points == COUNTS[-1] else None
    return Claim(f"with {points}, of one with 1", lambda figures: figures[_name(points)] / figures[_name(1)], target)


def _name(points: int) -> str:
    return f"with {points} points alive"


BENCHMARK = Benchmark(
    title="A consume checkpoint, CPU",
    unit="µs",
    count=0,
    contestants=tuple(Contestant(_name(points), "consume", count=points) for points in COUNTS),
    claims=tuple(_of_one(points) for points in COUNTS[1:]),
)
