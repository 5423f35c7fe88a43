"""A day of 200 services and 1,000 edges in the agent's file: how long the API takes to answer for all of it.

An answer is made of hours, and of finer rows at its ends: those are filled as a day would fill them; the other rows of
ten seconds and minutes, gigabytes that no answer reads, are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, time

import httpx2
import numpy as np

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, encode_key
from asyncdsm.agent.store.reports import BucketReport, PointReport, Report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import MULTIPLIER, OFFSET
from benchmarks.contest import Benchmark, Claim, Contestant
from benchmarks.intake import agent

SERVICES, EDGES = 200, 5
MOST_MESSAGES = 10_000
"""At an edge in an hour: enough that its sketches have all the bins that they will have."""
PATH = "ASYNCDSM_BENCH_DAY"


def first(count: int) -> float:
    """Ask for the map of the day, of an agent that was never asked; milliseconds."""
    return min(_milliseconds("/api/topology?minutes=1440", 1) for _ in range(min(count, 3)))


def again(count: int) -> float:
    """Ask for it again and again."""
    return _milliseconds("/api/topology?minutes=1440", count)


def ten_minutes(count: int) -> float:
    """Ask for the map of the last ten minutes."""
    return _milliseconds("/api/topology?minutes=10", count)


def one_edge(count: int) -> float:
    """Ask for one edge over the day."""
    return _milliseconds("/api/series?minutes=1440&edge={edge}", count)


def pathways(count: int) -> float:
    """Ask for the pathways through a service over the day."""
    return _milliseconds("/api/pathways?minutes=1440&service=service-7", count)


def _milliseconds(path: str, count: int) -> float:
    took = list[float]()
    with agent("--store", os.environ[PATH]) as url, httpx2.Client(base_url=url, timeout=60) as client:
        if "{edge}" in path:
            path = path.format(edge=client.get("/api/topology?minutes=1440").json()["edges"][0]["id"])
        for _ in range(count):
            began = perf_counter()
            answer = client.get(path)
            took.append((perf_counter() - began) * 1e3)
            assert answer.status_code == 200, answer.text
    return median(took)


@contextmanager
def a_day() -> Iterator[Mapping[str, str]]:
    """Fill a file; yield where it is."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        _fill(path)
        yield {PATH: str(path)}


def _fill(path: Path) -> None:
    chance, now = np.random.default_rng(1), int(time()) // 10 * 10
    ends = [
        *range(now - 24 * 3600, now - 7200, 3600),
        *range(now - 7200, now - 1200, 600),
        *range(now - 1200, now - 300, 60),
        *range(now - 300, now, 10),
    ]
    clock = [0.0]
    store = SQLiteStore(path, decode=read_report, now=lambda: clock[0])
    for start, end in zip(ends, [*ends[1:], now], strict=True):
        clock[0] = float(end)
        for service in range(SERVICES):
            store.add(_report(chance, service, start, min(20 * (end - start), MOST_MESSAGES)))
        store.flush()
    store.close()


def _report(chance: np.random.Generator, service: int, start: int, messages: int) -> Report:
    parts, points = list[Histograms](), list[PointReport]()
    for edge in range(EDGES):
        number = service * EDGES + edge
        tags = f"direction:{'in' if edge else 'out'}", f"topic:topic-{number}", "type:kafka"
        points.append(PointReport(tags, number + 1, number))
        latency = np.exp(chance.normal(-4 + edge, 0.5, messages))
        for sketch, values in ((EDGE, latency), (PATHWAY, 3 * latency), (SIZE, chance.integers(200, 2_000, messages))):
            bins, counts = np.unique(np.floor(np.log(values) * MULTIPLIER + OFFSET), return_counts=True)
            parts.append(Histograms(bins.astype(np.int64) + encode_key(edge, sketch, 0), counts.astype(np.float64)))
    histograms = Histograms(
        np.concatenate([part.keys for part in parts]), np.concatenate([part.counts for part in parts])
    )
    buckets = [BucketReport(start * 10**9, 10**10, points, [])]
    return Report(f"service-{service}", "bench", "python", "", buckets, histograms)


BENCHMARK = Benchmark(
    title="The local agent, a day of 200 services and 1,000 edges (median of {count} requests)",
    unit="ms",
    count=10,
    contestants=(
        Contestant("the map of the day, asked for the first time", "first"),
        Contestant("the map of the day, again", "again"),
        Contestant("the map of the last ten minutes", "ten_minutes"),
        Contestant("one edge over the day", "one_edge"),
        Contestant("the pathways through a service over the day", "pathways"),
    ),
    claims=(
        Claim(
            "the map of the day: under a second",
            lambda f: f["the map of the day, asked for the first time"],
            1_000,
            "ms",
        ),
    ),
    surroundings=a_day,
)
