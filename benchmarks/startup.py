"""`import`, in a fresh interpreter, CPU time without that of the bare interpreter.

All modules are compiled beforehand, as installed ones are: the compiled ones go to a folder of the benchmark's own,
for a source tree may be set to keep none.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory

from benchmarks.contest import Benchmark, Claim, Contestant, Figures


def bare(count: int) -> float:
    """Start the interpreter."""
    return _milliseconds("pass", count)


def import_asyncdsm(count: int) -> float:
    """Start it and import asyncdsm."""
    return _milliseconds("import asyncdsm", count)


def import_all_of_asyncdsm(count: int) -> float:
    """Start it and import all that asyncdsm offers, which a program with a DataStreams needs sooner or later."""
    return _milliseconds("from asyncdsm import *", count)


def import_ddtrace(count: int) -> float:
    """Start it and import ddtrace."""
    return _milliseconds("import ddtrace", count)


def _milliseconds(statement: str, count: int) -> float:
    _cpu(statement)  # compiles
    return min(_cpu(statement) for _ in range(count)) * 1e3


def _cpu(statement: str) -> float:
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True, capture_output=True)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def _compiled() -> Iterator[Mapping[str, str]]:
    with TemporaryDirectory() as folder:
        yield {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}


def _share(statement: str) -> Callable[[Figures], float]:
    return lambda figures: (figures[statement] - figures[BARE]) / (figures["import ddtrace"] - figures[BARE])


BARE = "the bare interpreter"

BENCHMARK = Benchmark(
    title="Import in a fresh process, CPU",
    unit="ms",
    count=5,
    contestants=(
        Contestant(BARE, "bare"),
        Contestant("import asyncdsm", "import_asyncdsm"),
        Contestant("from asyncdsm import *", "import_all_of_asyncdsm"),
        Contestant("import ddtrace", "import_ddtrace"),
    ),
    claims=(
        Claim("what import asyncdsm adds, of what import ddtrace adds", _share("import asyncdsm"), 1 / 15),
        Claim("what all of it adds, of what import ddtrace adds", _share("from asyncdsm import *"), 1 / 15),
    ),
    surroundings=_compiled,
)
