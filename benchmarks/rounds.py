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
    """Return each round's figures, by the contestant's name."""
    with benchmark.surroundings() as environ:
        return [
            {
                contestant.name: figure_of(module, contestant, count, environ)
                for contestant in in_turn(benchmark.contestants, number)
            }
            for number in range(rounds)
        ]


def in_turn(contestants: tuple[Contestant, ...], number: int) -> tuple[Contestant, ...]:
    """Let another one begin each round: whoever runs first may find a colder or a quieter machine."""
    first = number % len(contestants)
    return contestants[first:] + contestants[:first]


def figure_of(module: str, contestant: Contestant, count: int, environ: Mapping[str, str]) -> float:
    """Run one contestant once; raises RuntimeError with its stderr when it fails."""
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
    figure: float = json.loads(done.stdout.splitlines()[-1])
    return figure
