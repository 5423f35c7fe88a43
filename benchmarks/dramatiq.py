"""Messages of 200 bytes through dramatiq and a real Redis: CPU of this process for enqueuing and processing one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Event
from time import process_time
from typing import Any

from benchmarks.client_contest import (
    FIELD_NAME,
    FIELD_VALUE,
    Follow,
    follow_nothing,
    make_benchmark,
    measure_wrapped_blocking,
)
from benchmarks.sink import sink

BODY = "x" * 200
BLOCKS = 4
PATIENCE_SECONDS = 120


def bare(count: int) -> float:
    """Nobody follows the messages."""
    return _microseconds(count, follow_nothing)


def bare_with_a_field(count: int) -> float:
    """Nobody follows the messages, and each has an option of a context's size, as its program gave it."""
    return _microseconds(count, follow_nothing, **{FIELD_NAME: FIELD_VALUE})


def asyncdsm_wrapped(count: int) -> float:
    """A broker that is wrapped."""
    return measure_wrapped_blocking(partial(_microseconds, count), 2 * (BLOCKS + 1) * count)


def _microseconds(count: int, follow: Follow, **options: Any) -> float:
    """CPU time per message: the least of some blocks, behind one that warms up."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = follow(RedisBroker(url=os.environ["BENCHMARK_REDIS"]))
    broker.flush_all()
    left, done = 0, Event()

    @dramatiq.actor(broker=broker, queue_name="benchmark")
    def work(body: str) -> None:
        nonlocal left
        del body
        left -= 1
        if left == 0:
            done.set()

    figures = list[float]()
    for _ in range(BLOCKS + 1):
        left = count
        done.clear()
        start = process_time()
        for _ in range(count):
            work.send_with_options(args=(BODY,), **options)
        worker = dramatiq.Worker(broker, worker_threads=1)  # from here on: it would be in the way of this thread
        worker.start()
        assert done.wait(PATIENCE_SECONDS)
        figures.append((process_time() - start) / count * 1e6)
        worker.stop()
    return min(figures[1:])


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.redis import redis

    with redis() as url, sink() as environ:
        # With a single thread, the worker would take two messages, and wait, at a time.
        yield {**environ, "BENCHMARK_REDIS": url, "dramatiq_queue_prefetch": "100"}


BENCHMARK = make_benchmark("dramatiq", "Enqueue and process a message", 3_000, _surroundings, "an option")
