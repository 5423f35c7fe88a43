"""Rounds: every contestant in a process of its own, one after the other, again and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from benchmarks.contest import Benchmark, Contestant
from benchmarks.instructions import count_instructions, find_counter

PATIENCE_SECONDS = 180
COUNTED = 100
"""A contestant's count while its instructions are counted; then it is counted with twice as much."""


class Measured(NamedTuple):
    """Each round's figures by their names, and the instructions of one operation, where they could be counted."""

    rounds: list[dict[str, float]]
    instructions: dict[str, float]


def run(module: str, benchmark: Benchmark, rounds: int, count: int) -> Measured:
    """Run a benchmark's contestants in turn, round after round, and count instructions where it asks for them."""
    with benchmark.surroundings() as environ:
        figures = [
            {
                name: figure
                for contestant in in_turn(benchmark.contestants, number)
                for name, figure in figures_of(module, contestant, contestant.count or count, environ).items()
            }
            for number in range(min(rounds, benchmark.most_rounds or rounds))
        ]
        if benchmark.operations is None or find_counter() is None:
            return Measured(figures, {})
        counted = {each.name: instructions_of(module, each, environ) for each in benchmark.contestants}
        return Measured(figures, {name: number / benchmark.operations for name, number in counted.items()})


def in_turn(contestants: tuple[Contestant, ...], number: int) -> tuple[Contestant, ...]:
    """Let another one begin each round: whoever runs first may find a colder or a quieter machine."""
    first = number % len(contestants)
    return contestants[first:] + contestants[:first]


def figures_of(module: str, contestant: Contestant, count: int, environ: Mapping[str, str]) -> dict[str, float]:
    """Run one contestant once, and return its figures by name; raises RuntimeError with its stderr when it fails."""
    done = subprocess.run(
        _command(module, contestant, count),
        env=_environ(contestant, environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{contestant.name} failed:\n{done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    measured = [result[part] for part in contestant.parts] or [result]
    return dict(zip(contestant.figures, measured, strict=True))


def instructions_of(module: str, contestant: Contestant, environ: Mapping[str, str]) -> float:
    """Return the instructions for each of its count: what a count twice as high takes more, as both start alike."""
    alike = {**_environ(contestant, environ), "PYTHONHASHSEED": "0"}
    commands = [_command(module, contestant, count) for count in (COUNTED, 2 * COUNTED)]
    with ThreadPoolExecutor(len(commands)) as side_by_side:
        few, many = side_by_side.map(count_instructions, commands, [alike] * len(commands))
    return (many - few) / COUNTED


def _command(module: str, contestant: Contestant, count: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.contestant", module, contestant.function, str(count)]


def _environ(contestant: Contestant, environ: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("DD_")}
    return {**inherited, **environ, **contestant.environ}
