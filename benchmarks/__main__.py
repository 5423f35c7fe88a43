"""`python -m benchmarks [--json FILE] [--quick] [NAME…]`."""

from __future__ import annotations

import argparse
import os
import platform
from importlib import import_module
from pathlib import Path

from benchmarks.contest import Benchmark
from benchmarks.report import Row, rows_of, table, write_json
from benchmarks.rounds import run

NAMES = ("asgi", "aws", "checkpoint", "confluent", "kafka", "kombu", "rabbitmq", "stall", "startup")
ROUNDS, QUICK_ROUNDS = 7, 2
QUICK_SHARE = 10


def main() -> None:
    """Run the benchmarks that are named, all by default, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file too")
    parser.add_argument("--quick", action="store_true", help="few rounds, small loads: to see that it runs")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    rows = [row for name in options.names or NAMES for row in _measured(name, options.quick)]
    print(table(rows))
    if options.json:
        about = {"python": platform.python_version(), "machine": platform.machine(), "cpus": os.cpu_count()}
        write_json(options.json, rows, about)


def _measured(name: str, quick: bool) -> list[Row]:
    benchmark: Benchmark = import_module(f"benchmarks.{name}").BENCHMARK
    rounds, count = (QUICK_ROUNDS, max(2, benchmark.count // QUICK_SHARE)) if quick else (ROUNDS, benchmark.count)
    return list(rows_of(benchmark, run(name, benchmark, rounds, count), count))


if __name__ == "__main__":
    main()
