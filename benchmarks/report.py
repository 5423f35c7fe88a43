"""The figures of all rounds as one table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.contest import Benchmark
from benchmarks.rounds import Measured

NOT_AVAILABLE = "not available"


class Row(NamedTuple):
    """The spread of one figure over the rounds; `target` only for a claim that has one.

    `instructions` are those of the same operation, or of both in a ratio, where they are to be counted: a number, or
    that this machine does not count them.
    """

    benchmark: str
    what: str
    unit: str
    least: float
    median: float
    most: float
    target: float | None = None
    instructions: float | str | None = None


def rows_of(benchmark: Benchmark, measured: Measured, count: int) -> Iterator[Row]:
    """Return the contestants' figures, part by part, then the claims, each claim reckoned within its round."""
    title = benchmark.title.format(count=count)
    parts = dict.fromkeys(part for contestant in benchmark.contestants for part in contestant.parts or ("",))
    missing = None if benchmark.operations is None else NOT_AVAILABLE
    names = [name for contestant in benchmark.contestants for name in contestant.figures]
    for name in sorted(names, key=lambda name: list(parts).index(name.rpartition(": ")[0])):
        row = _row(title, name, benchmark.unit, [figures[name] for figures in measured.rounds])
        yield row._replace(
            instructions=measured.instructions.get(name, NOT_AVAILABLE if benchmark.operations else None)
        )
    for claim in benchmark.claims:
        row = _row(title, claim.text, claim.unit, [claim.of(figures) for figures in measured.rounds])
        counted = claim.of(measured.instructions) if measured.instructions else missing
        yield row._replace(target=claim.target, instructions=counted)


def table(rows: Sequence[Row]) -> str:
    """Return the table over the rounds; it is the median of a claim that meets its target or not."""
    column = 15 if any(row.instructions is not None for row in rows) else 0
    lines = [f"{'':72}{'min':>10}{'median':>10}{'max':>10}{'instructions'[:column]:>{column}}  target"]
    title = ""
    for row in rows:
        if row.benchmark != title:
            title = row.benchmark
            lines += ["", title]
        numbers = "".join(f"{_number(value):>10}" for value in (row.least, row.median, row.most))
        what = row.what + (f" ({row.unit})" if row.unit else "")
        lines.append(f"  {what:70}{numbers}{_counted(row):>{column}}{_verdict(row)}".rstrip())
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


def _counted(row: Row) -> str:
    counted = row.instructions
    return counted or "" if counted is None or isinstance(counted, str) else _number(counted)


def _verdict(row: Row) -> str:
    if row.target is None:
        return ""
    return f"  ≤ {_number(row.target)}: {'met' if row.median <= row.target else 'missed'}"
