"""The figures of all rounds as one table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.contest import Benchmark


class Row(NamedTuple):
    """The spread of one figure over the rounds; `target` only for a claim that has one."""

    benchmark: str
    what: str
    unit: str
    least: float
    median: float
    most: float
    target: float | None = None


def rows_of(benchmark: Benchmark, rounds: list[dict[str, float]], count: int) -> Iterator[Row]:
    """Return the contestants' figures, part by part, then the claims, each claim reckoned within its round."""
    title = benchmark.title.format(count=count)
    parts = dict.fromkeys(part for contestant in benchmark.contestants for part in contestant.parts or ("",))
    names = [name for contestant in benchmark.contestants for name in contestant.figures]
    for name in sorted(names, key=lambda name: list(parts).index(name.rpartition(": ")[0])):
        yield _row(title, name, benchmark.unit, [figures[name] for figures in rounds])
    for claim in benchmark.claims:
        figures = [claim.of(figures) for figures in rounds]
        yield _row(title, claim.text, claim.unit, figures)._replace(target=claim.target)


def table(rows: Iterable[Row]) -> str:
    """Return the table over the rounds; it is the median of a claim that meets its target or not."""
    lines = [f"{'':72}{'min':>10}{'median':>10}{'max':>10}  target"]
    title = ""
    for row in rows:
        if row.benchmark != title:
            title = row.benchmark
            lines += ["", title]
        numbers = "".join(f"{_number(value):>10}" for value in (row.least, row.median, row.most))
        lines.append(f"  {row.what + (f' ({row.unit})' if row.unit else ''):70}{numbers}{_verdict(row)}")
    return "\n".join(lines)


def write_json(path: Path, rows: Iterable[Row], about: dict[str, Any]) -> None:
    """Write every row, beside what is known of the machine."""
    path.write_text(json.dumps({**about, "rows": [row._asdict() for row in rows]}, indent=1) + "\n")


def _row(title: str, what: str, unit: str, figures: list[float]) -> Row:
    return Row(title, what, unit, min(figures), median(figures), max(figures))


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"


def _verdict(row: Row) -> str:
    if row.target is None:
        return ""
    return f"  ≤ {_number(row.target)}: {'met' if row.median <= row.target else 'missed'}"
