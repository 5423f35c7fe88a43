"""The report: instructions beside times, or that they are not available; the core that was measured, its targets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import benchmarks
from benchmarks.__main__ import NAMES
from benchmarks.contest import Benchmark, Claim, Contestant
from benchmarks.cores import NATIVE, PLAIN, built_cores, environ_of
from benchmarks.report import rows_of, table
from benchmarks.rounds import Measured

CORE = """
import json
from benchmarks import about, cores
print(json.dumps([about.describe_run()["asyncdsm's core"], cores.target(native=1.5, plain=2.5)]))
"""
ROUNDS = [{"ours": 2.0, "theirs": 10.0}, {"ours": 4.0, "theirs": 10.0}, {"ours": 3.0, "theirs": 10.0}]


def benchmark(operations: int | None) -> Benchmark:
    """Return one with two contestants and a claim."""
    return Benchmark(
        title="A test",
        unit="µs",
        count=1,
        contestants=(Contestant("ours", ""), Contestant("theirs", "")),
        claims=(Claim("ours, of theirs", lambda figures: figures["ours"] / figures["theirs"], 0.25),),
        operations=operations,
    )


def lines(operations: int | None, instructions: dict[str, float]) -> list[list[str]]:
    """Return the cells of a table, which two spaces or more divide."""
    text = table(list(rows_of(benchmark(operations), Measured(ROUNDS, instructions), 1)))
    return [[cell for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def stripped(cells: list[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def test_instructions_are_beside_the_times_and_claims_hold_for_both() -> None:
    head, _, _, ours, theirs, claim = map(stripped, lines(9, {"ours": 1_500.0, "theirs": 3_000.0}))
    assert head == ["min", "median", "max", "instructions", "target"]
    assert ours == ["ours (µs)", "2.00", "3.00", "4.00", "1,500"]
    assert theirs == ["theirs (µs)", "10.0", "10.0", "10.0", "3,000"]
    assert claim == ["ours, of theirs", "0.2000", "0.3000", "0.4000", "0.5000", "≤ 0.2500: missed"]


def test_instructions_that_nothing_counts_are_not_available() -> None:
    _, _, _, ours, _, claim = map(stripped, lines(9, {}))
    assert ours == ["ours (µs)", "2.00", "3.00", "4.00", "not available"]
    assert claim == ["ours, of theirs", "0.2000", "0.3000", "0.4000", "not available", "≤ 0.2500: missed"]


def test_table_without_instructions_has_no_column_for_them() -> None:
    head, _, _, ours, _, claim = map(stripped, lines(None, {}))
    assert head == ["min", "median", "max", "target"]
    assert ours == ["ours (µs)", "2.00", "3.00", "4.00"]
    assert claim == ["ours, of theirs", "0.2000", "0.3000", "0.4000", "≤ 0.2500: missed"]


@pytest.mark.parametrize("core", built_cores())
def test_target_and_report_are_those_of_the_core_in_use(core: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CORE], env={**os.environ, **environ_of(core)}, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == [core, {NATIVE: 1.5, PLAIN: 2.5}[core]]


def test_every_benchmark_runs_unless_others_are_named() -> None:
    modules = {path.stem for path in Path(benchmarks.__file__).parent.glob("*.py") if path.stem != "__main__"}
    assert set(NAMES) == {name for name in modules if hasattr(import_module(f"benchmarks.{name}"), "BENCHMARK")}
    assert list(NAMES) == sorted(NAMES)
