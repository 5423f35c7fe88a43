"""`python -m benchmarks [--json FILE] [--quick] [--rounds N] [NAME…]`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.about import describe_run
from benchmarks.contest import Benchmark
from benchmarks.report import Row, rows_of, table, write_json
from benchmarks.rounds import run

NAMES = (
    "agent",
    "alive",
    "asgi",
    "aws",
    "checkpoint",
    "confluent",
    "day",
    "dramatiq",
    "eventhub",
    "intake",
    "kafka",
    "kafka_python",
    "kombu",
    "map",
    "memory",
    "mqtt",
    "nats",
    "peers",
    "pubsub",
    "rabbitmq",
    "redis",
    "servicebus",
    "slow_agent",
    "stall",
    "startup",
    "threads",
    "wire",
)
ROUNDS, QUICK_ROUNDS = 7, 2
QUICK_SHARE = 10


def main() -> None:
    """Run the benchmarks that are named, all by default, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file too")
    parser.add_argument("--quick", action="store_true", help="few rounds, small loads: to see that it runs")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"instead of {ROUNDS}, or {QUICK_ROUNDS} with --quick")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    rows = [row for name in options.names or NAMES for row in _measured(name, options.quick, options.rounds)]
    about = describe_run()
    print(", ".join(f"{name} {value}" for name, value in about.items()), table(rows), sep="\n\n")
    if options.json:
        write_json(options.json, rows, about)


def _measured(name: str, quick: bool, rounds: int | None) -> list[Row]:
    benchmark: Benchmark = import_module(f"benchmarks.{name}").BENCHMARK
    count = max(2, benchmark.count // QUICK_SHARE) if quick else benchmark.count
    measured = run(name, benchmark, rounds or (QUICK_ROUNDS if quick else ROUNDS), count)
    return list(rows_of(benchmark, measured, count))


if __name__ == "__main__":
    main()
