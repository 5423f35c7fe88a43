"""The native core's memory: under sanitizers, and over many rounds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cores.test_same import LAST, STEP, Core

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "asyncdsm" / "core" / "native"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]

COMPILE = """
import sys
from pathlib import Path
from hatch_build import compile_extension
Path(sys.argv[2]).mkdir()
print(compile_extension(Path(sys.argv[1]), Path(sys.argv[2])))
"""

ROUNDS = """
import ctypes, gc
from itertools import chain
from asyncdsm.core import checkpoint
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.context import encode_header
from asyncdsm.core.edge import Edge
from asyncdsm.core.implementation import WHY_PLAIN
from asyncdsm.delivery.points import PointEncoder
from asyncdsm.testing import ManualClock

assert WHY_PLAIN is None, WHY_PLAIN
libc = ctypes.CDLL(None)
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc.mallinfo2.restype = Info

def round():
    clock = ManualClock()
    aggregator = Aggregator("s", None, max_points=500, now=clock)
    checkpoint.set_recorder(aggregator)
    edges = [Edge("direction:in", f"topic:{number}", "type:kafka") for number in range(10)]
    for second in range(40):
        clock.advance(1)
        for number in range(60):
            header = encode_header(second * 60 + number, clock() - number * 10**7, clock() - 10**6)
            checkpoint.consume(edges[number % 10], header, number * 1000)
            pending = checkpoint.begin_produce(edges[0], 100, 20)
            if number % 2:
                checkpoint.finish_produce(pending)
        for bucket in aggregator.take(clock()):
            encoder = PointEncoder(bucket)
            while encoder.encode_some() is not None:
                pass
            bucket.points()
    checkpoint.set_recorder(None)

def used():
    gc.collect()
    info = libc.mallinfo2()
    return info.uordblks + info.hblkhd

for _ in range(3):
    round()
before = used()
for _ in range(20):
    round()
print(used() - before)
"""


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    """The native core, compiled with sanitizers, in a process that ends at the first finding."""
    folder = tmp_path_factory.mktemp("sanitized")
    flags = " ".join(SANITIZERS)
    compiler = os.environ | {"CFLAGS": flags, "LDFLAGS": flags}
    command = [sys.executable, "-c", COMPILE, str(NATIVE), str(folder / "build")]
    done = subprocess.run(command, check=True, cwd=ROOT, env=compiler, capture_output=True, text=True)
    package = folder / "asyncdsm"
    shutil.copytree(ROOT / "asyncdsm", package, ignore=shutil.ignore_patterns("*.so", "*.stamp", "__pycache__"))
    shutil.copy(done.stdout.split()[-1], package / "core" / "native")
    core = Core(
        "",
        PYTHONPATH=f"{folder}{os.pathsep}{ROOT}",
        PYTHONSAFEPATH="1",
        PYTHONMALLOC="malloc",  # so that each object is a block that the sanitizer knows
        LD_PRELOAD=" ".join(_library(name) for name in ("libasan.so", "libubsan.so")),
        ASAN_OPTIONS="detect_leaks=0",  # CPython itself keeps what it needs until the end
    )
    assert core.why_plain is None
    assert Path(core.file).parents[1] == folder
    yield core
    core.close()


def _library(name: str) -> str:
    done = subprocess.run(["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True)
    path = Path(done.stdout.strip())
    assert path.is_absolute(), f"gcc has no {name}"
    return str(path.resolve())


@given(program=st.lists(STEP, max_size=40))
@settings(max_examples=60, deadline=None)
def test_sanitizers_find_nothing_in_any_program(sanitized: Core, program: list[Any]) -> None:
    assert len(sanitized.follow([*program, *LAST])) == len(program) + len(LAST)


def test_sanitizers_find_nothing_in_the_arithmetic(tmp_path: Path) -> None:
    source, program = str(ROOT / "tests" / "cores" / "arithmetic.c"), str(tmp_path / "arithmetic")
    subprocess.run(
        ["gcc", *SANITIZERS, "-Wall", "-Werror=uninitialized", f"-I{NATIVE}", source, "-o", program, "-lm"], check=True
    )
    done = subprocess.run([program, "2"], check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[0]) > 1000


def test_memory_does_not_grow_with_rounds() -> None:
    environ = os.environ | {"PYTHONMALLOC": "malloc", "ASYNCDSM_PURE": ""}
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS], check=True, cwd=ROOT, env=environ, capture_output=True, text=True
    )
    # Python keeps some tens of kilobytes, with either core. A point is 150 bytes: of the 48,000 that were made, one in
    # thirty must not be kept.
    assert int(done.stdout) < 250_000
