"""SQLite and ClickHouse as stores: `python -m benchmarks.stores [--services N…] [--agents N…] [--seconds S]`.

How many payloads agents take in a second, each with a file of its own or all with one ClickHouse; how long maps take;
and how many bytes the store takes. ClickHouse is chdb behind the tests' HTTP server. It shares the processors with the
agents, and runs one statement at a time.

A day passes in compressed time: each service reports once in an hour, more often in the last hour, and every ten
seconds at the end. So a map of the day is made of as many rows as if they had reported all the time, since whole hours
are read as hours. If a machine is too slow for the seconds that it is given, the day has fewer hours, which the table
says.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.clickhouse.address import parse_address
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, encode_key
from asyncdsm.agent.store.reports import AcceptedPayload, BucketReport, PointReport, Report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import MULTIPLIER, OFFSET
from benchmarks.intake import agent, send_all
from tests.brokers.clickhouse import clickhouse

EDGES, MESSAGES, GROUP = 5, 200, 500
TRIED, PAYLOADS, CONNECTIONS = 256, 4_000, 256
"""A service sends one payload in ten seconds, and waits for the answer: each has a connection of its own."""
SECONDS = 600
INTAKE_SHARE, MAPS_SHARE = 0.2, 0.6
"""Which part of the seconds the two tables get at most; the rest is for maps, and for what has to start."""
HOURS, LEAST_REPORTS = 24, 7
AnyStore = SQLiteStore | ClickHouseStore
Open = Callable[[Callable[[], float]], AnyStore]


def hours_before(now: int) -> list[int]:
    """Return the hours of a day at whose beginning services report, but the last one."""
    hour = now // 3600 * 3600
    return list(range(hour - (HOURS - 1) * 3600, hour - 3600, 3600))


def last_hour(now: int) -> list[int]:
    """Return when services report in the last hour: each report stands for the time up to the next one."""
    hour = now // 3600 * 3600
    return [*range(hour - 3600, hour - 2400, 600), *range(now - 600, now - 420, 60), *range(now - 60, now, 10)]


def histograms_of(chance: np.random.Generator) -> Histograms:
    """Return what a service counts at its edges: some 25 bins in each histogram."""
    parts: list[Histograms] = []
    for edge in range(EDGES):
        latency = np.exp(chance.normal(-4 + edge, 0.5, MESSAGES))
        for sketch, values in ((EDGE, latency), (PATHWAY, 3 * latency), (SIZE, chance.integers(200, 2_000, MESSAGES))):
            bins, counts = np.unique(np.floor(np.log(values) * MULTIPLIER + OFFSET), return_counts=True)
            parts.append(Histograms(bins.astype(np.int64) + encode_key(edge, sketch, 0), counts.astype(np.float64)))
    return Histograms(np.concatenate([part.keys for part in parts]), np.concatenate([part.counts for part in parts]))


def reports(services: int, start: int, chance: np.random.Generator) -> Iterator[AcceptedPayload]:
    """Yield a report of each service."""
    kinds = [histograms_of(chance) for _ in range(20)]
    for service in range(services):
        points = [
            PointReport(
                (f"direction:{'in' if edge else 'out'}", f"topic:topic-{number}", "type:kafka"), number + 1, number
            )
            for edge in range(EDGES)
            for number, direction in [(service * EDGES + edge, "in" if edge else "out")]
        ]
        buckets = [BucketReport(start * 10**9, 10**10, points, [])]
        yield AcceptedPayload(Report(f"service-{service}", "bench", "python", "", buckets, kinds[service % len(kinds)]))


class Filled(NamedTuple):
    """What a store has taken: points in a second, hours, and rows of three sketches each."""

    rate: float
    hours: int
    rows: int


def fill(store: AnyStore, services: int, clock: list[float], seconds: float) -> Filled:
    """Let services report for a day, or for as many of its hours as fit into some seconds."""
    chance, now = np.random.default_rng(1), int(time()) // 10 * 10
    (first, *hours), end = hours_before(now), last_hour(now)

    def report(start: int) -> float:
        clock[0] = start + 10.0
        listed = list(reports(services, start, chance))
        began = perf_counter()
        for begin in range(0, services, GROUP):
            store.add_all(listed[begin : begin + GROUP])
        store.flush()
        return perf_counter() - began

    clock[0] = first + 10.0
    store.add_all(list(reports(1, first, chance)))  # what is imported by the first one is no question of the store
    took = [report(first)]
    fitting = max(LEAST_REPORTS, int(seconds / took[0]))
    took += [report(start) for start in [*hours, *end][-fitting:]]
    for _ in range(4):
        clock[0] += 100.0
        store.flush()
    clock[0] = time()
    rows = services * EDGES * len(took)
    return Filled(rows / sum(took), max(2, len(took) - len(end) + 1), rows)


def measure_map(store: AnyStore, minutes: int) -> tuple[float, float]:
    """Return the milliseconds that a map takes, the first time and again."""
    took: list[float] = []
    for _ in range(2):
        began = perf_counter()
        assert topology(store, minutes).edges
        took.append((perf_counter() - began) * 1e3)
    return took[0], took[1]


def compare_maps(services: int, openers: dict[str, Open], seconds: float) -> None:
    """Print a row for each store."""
    for name, open_store in openers.items():
        clock = [time()]
        with closing(open_store(partial(clock.__getitem__, 0))) as store:
            filled = fill(store, services, clock, seconds)
            maps = [f"{milliseconds:,.0f}" for minutes in (10, 1440) for milliseconds in measure_map(store, minutes)]
            store.flush()
            size = store.used_bytes()
            sizes = f"{size / 1e6:,.1f} | {size / filled.rows / 3:,.0f}"
            print(
                f"| {services:,} | {name} | {filled.hours} | {filled.rate:,.0f} | {' | '.join(maps)} | {sizes} |",
                flush=True,
            )


def measure_intake(addresses: Sequence[str], seconds: float) -> float:
    """Return how many payloads of 50 points agents take in a second, one with the store at each address."""

    async def send(urls: Sequence[str], payloads: int) -> float:
        each = payloads // len(urls), CONNECTIONS // len(urls)
        return sum(1e6 / took for took in await asyncio.gather(*(send_all(url, *each) for url in urls)))

    with ExitStack() as stack:
        urls = [stack.enter_context(agent("--store", address)) for address in addresses]
        rate = asyncio.run(send(urls, TRIED))
        return asyncio.run(send(urls, max(TRIED, min(PAYLOADS, int(rate * seconds)))))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__)
    parser.add_argument("--services", nargs="*", type=int, default=[50])
    parser.add_argument("--agents", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help=f"instead of {SECONDS}, roughly")
    options = parser.parse_args()
    intake_seconds = INTAKE_SHARE * options.seconds / max(1, 2 * len(options.agents))
    with clickhouse() as server, TemporaryDirectory() as folder:
        print("| agents | store | payloads a second |\n|---|---|---|")
        for agents in options.agents:
            own = [f"{folder}/{agents}-{number}.db" for number in range(agents)]
            print(f"| {agents} | SQLite, a file each | {measure_intake(own, intake_seconds):,.0f} |", flush=True)
            shared = measure_intake([server.address()] * agents, intake_seconds)
            print(f"| {agents} | ClickHouse | {shared:,.0f} |", flush=True)
        print(
            "\n| services | store | hours | points a second | map of ten minutes, ms | again | of the day, ms | again ",
            end="",
        )
        print("| MB | bytes a sketch |\n|---|---|---|---|---|---|---|---|---|---|", flush=True)
        weights = {services: services**0.3 for services in options.services}  # what is larger gets more of the time
        deadline = perf_counter() + (1 - INTAKE_SHARE) * options.seconds
        for services, weight in weights.items():
            seconds = MAPS_SHARE * options.seconds / 2 * weight / sum(weights.values())

            def open_sqlite(now: Callable[[], float], path: Path = Path(folder, f"{services}.db")) -> AnyStore:
                return SQLiteStore(path, decode=read_report, now=now)

            def open_clickhouse(now: Callable[[], float]) -> AnyStore:
                return ClickHouseStore(parse_address(server.address(), {}), now=now, ticks=now)

            if perf_counter() > deadline:
                print(f"| {services:,} | out of time |", flush=True)
                continue
            compare_maps(services, {"SQLite": open_sqlite, "ClickHouse": open_clickhouse}, seconds)


if __name__ == "__main__":
    main()
