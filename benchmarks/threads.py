"""A consume and the produce after it, from several threads at once: CPU of both."""

from __future__ import annotations

import threading
from time import process_time

from benchmarks.contest import Benchmark, Claim, Contestant
from benchmarks.messages import contexts
from tests import by_hand

BLOCKS, MESSAGES = 5, 24_000
COUNTS = (1, 2, 8)


def pairs(threads: int) -> float:
    """CPU time of a pair, in µs: the least of some blocks, behind one that warms up."""
    from asyncdsm.core import checkpoint
    from asyncdsm.core.aggregator import Aggregator
    from asyncdsm.core.edge import Edge

    aggregator = Aggregator("bench", None)
    checkpoint.set_recorder(aggregator)
    out, into = Edge("direction:out", "topic:a", "type:kafka"), Edge("direction:in", "topic:b", "type:kafka")
    messages = contexts(MESSAGES // threads)

    def work() -> None:
        for message in messages:
            by_hand.consume(into, message, 200)
            by_hand.produce(out, 200)

    figures = list[float]()
    for _ in range(BLOCKS + 1):
        workers = [threading.Thread(target=work) for _ in range(threads)]
        start = process_time()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        figures.append((process_time() - start) / MESSAGES * 1e6)
    assert aggregator.stats().recorded == 2 * (BLOCKS + 1) * MESSAGES
    return min(figures[1:])


def _of_one(threads: int) -> Claim:
    return Claim(f"{threads} threads, of one", lambda figures: figures[_name(threads)] / figures[_name(1)])


def _name(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"


BENCHMARK = Benchmark(
    title="A consume and the produce after it, in threads, CPU",
    unit="µs",
    count=0,
    contestants=tuple(Contestant(_name(threads), "pairs", count=threads) for threads in COUNTS),
    claims=tuple(_of_one(threads) for threads in COUNTS[1:]),
)
