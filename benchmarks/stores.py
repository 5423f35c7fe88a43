"""SQLite and ClickHouse as stores: `python -m benchmarks.stores [--services N…] [--agents N…]`.

How many payloads agents take in a second, each with a file of its own or all with one ClickHouse; how long maps take;
and how many bytes they are made of. ClickHouse is chdb behind the tests' HTTP server. It shares the processors with the
agents, and runs one statement at a time.

The time for which there is data is short: two hours that are rolled up, and finer rows at the end, 22 rows a point in
all. An answer is made of as many rows as these, since days are read as hours.
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
PAYLOADS, CONNECTIONS = 4_000, 256
"""A service sends one payload in ten seconds, and waits for the answer: each has a connection of its own."""
AnyStore = SQLiteStore | ClickHouseStore
Open = Callable[[Callable[[], float]], AnyStore]


def steps(now: int) -> list[int]:
    """Return when services report: each report stands for the time up to the next one."""
    hour = now // 3600 * 3600
    return [
        *range(hour - 10_800, hour - 3600, 3600),
        *range(hour - 3600, hour - 1800, 600),
        *range(now - 600, now - 300, 60),
        *range(now - 120, now, 10),
    ]


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


def fill(store: AnyStore, services: int, clock: list[float]) -> float:
    """Let services report; return how many points the store took in a second."""
    chance, taken, seconds = np.random.default_rng(1), 0, 0.0
    for start in steps(int(time()) // 10 * 10):
        clock[0] = start + 10.0
        listed = list(reports(services, start, chance))
        began = perf_counter()
        for begin in range(0, services, GROUP):
            store.add_all(listed[begin : begin + GROUP])
        store.flush()
        seconds += perf_counter() - began
        taken += services * EDGES
    for _ in range(4):
        clock[0] += 100.0
        store.flush()
    clock[0] = time()
    return taken / seconds


def measure_map(store: AnyStore, minutes: int) -> float:
    """Return the milliseconds that a map takes, the better of two."""
    took: list[float] = []
    for _ in range(2):
        began = perf_counter()
        assert topology(store, minutes).edges
        took.append((perf_counter() - began) * 1e3)
    return min(took)


def compare_maps(services: int, openers: dict[str, Open]) -> None:
    """Print a row for each store."""
    for name, open_store in openers.items():
        clock = [time()]
        with closing(open_store(partial(clock.__getitem__, 0))) as store:
            rate = fill(store, services, clock)
            ten, day = measure_map(store, 10), measure_map(store, 1440)
            sketches = services * EDGES * 3 * len(steps(int(time())))
            size = store.used_bytes() / sketches
            print(f"| {services:,} | {name} | {rate:,.0f} | {ten:,.0f} ms | {day:,.0f} ms | {size:,.0f} |", flush=True)


def measure_intake(addresses: Sequence[str]) -> float:
    """Return how many payloads of 50 points agents take in a second, one with the store at each address."""
    each = PAYLOADS // len(addresses), CONNECTIONS // len(addresses)

    async def send(urls: Sequence[str]) -> float:
        return sum(1e6 / took for took in await asyncio.gather(*(send_all(url, *each) for url in urls)))

    with ExitStack() as stack:
        return asyncio.run(send([stack.enter_context(agent("--store", address)) for address in addresses]))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__)
    parser.add_argument("--services", nargs="*", type=int, default=[50])
    parser.add_argument("--agents", nargs="*", type=int, default=[1, 2])
    options = parser.parse_args()
    with clickhouse() as server, TemporaryDirectory() as folder:
        print("| agents | store | payloads a second |\n|---|---|---|")
        for agents in options.agents:
            own = [f"{folder}/{agents}-{number}.db" for number in range(agents)]
            print(f"| {agents} | SQLite, a file each | {measure_intake(own):,.0f} |", flush=True)
            print(f"| {agents} | ClickHouse | {measure_intake([server.address()] * agents):,.0f} |", flush=True)
        print("\n| services | store | points a second | map of ten minutes | map of the day | bytes a sketch |")
        print("|---|---|---|---|---|---|")
        for services in options.services:

            def open_sqlite(now: Callable[[], float], path: Path = Path(folder, f"{services}.db")) -> AnyStore:
                return SQLiteStore(path, decode=read_report, now=now)

            def open_clickhouse(now: Callable[[], float]) -> AnyStore:
                return ClickHouseStore(parse_address(server.address(), {}), now=now)

            compare_maps(services, {"SQLite": open_sqlite, "ClickHouse": open_clickhouse})


if __name__ == "__main__":
    main()
