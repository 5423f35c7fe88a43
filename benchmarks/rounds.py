"""Rounds: every contestant in a process of its own, one after the other, again and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from benchmarks.contest import Benchmark, Contestant

PATIENCE_SECONDS = 180


def run(module: str, benchmark: Benchmark, rounds: int, count: int) -> list[dict[str, float]]:
    """Return each round's figures, by their names."""
    with benchmark.surroundings() as environ:
        return [
            {
                name: figure
                for contestant in in_turn(benchmark.contestants, number)
                for name, figure in figures_of(module, contestant, contestant.count or count, environ).items()
            }
            for number in range(rounds)
        ]


def in_turn(contestants: tuple[Contestant, ...], number: int) -> tuple[Contestant, ...]:
    """Let another one begin each round: whoever runs first may find a colder or a quieter machine."""
    first = number % len(contestants)
    return contestants[first:] + contestants[:first]


def figures_of(module: str, contestant: Contestant, count: int, environ: Mapping[str, str]) -> dict[str, float]:
    """Run one contestant once, and return its figures by name; raises RuntimeError with its stderr when it fails."""
    inherited = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("DD_")}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.contestant", module, contestant.function, str(count)],
        env={**inherited, **environ, **contestant.environ},
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
