"""How many instructions a command takes in user space, which depends less on the machine's load than its time does.

The processor counts them where the kernel lets `perf` ask for it; many virtual machines have no such counter. Then
valgrind counts, under which a command takes some thirty times as long.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

PATIENCE_SECONDS = 300
VALGRIND = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]

Count = Callable[[Sequence[str], Mapping[str, str]], int | None]


@cache
def find_counter() -> str | None:
    """Return the name of the first of the `COUNTERS` that counts on this machine; None if none does."""
    return next((name for name, count in COUNTERS.items() if count(["true"], os.environ) is not None), None)


def count_instructions(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Return how many instructions a command took. Raises RuntimeError if it fails, or nothing counts them here."""
    counter = find_counter()
    counted = COUNTERS[counter](command, environ) if counter else None
    if counted is None:
        raise RuntimeError("nothing counts instructions on this machine: install valgrind")
    return counted


def count_with_perf(command: Sequence[str], environ: Mapping[str, str], event: str = "instructions:u") -> int | None:
    """Return how often an event happened; None where perf is missing, is not permitted, or has no such event.

    Raises RuntimeError if the command fails.
    """
    return _count(["perf", "stat", "-x,", "-e", event, "-o", "{log}", "--"], rf"^(\d+),.*{event}", command, environ)


def count_with_valgrind(command: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Return how many instructions a command took; None where valgrind is missing.

    Raises RuntimeError if the command fails.
    """
    return _count([*VALGRIND, "--log-file={log}"], r"I +refs: +([\d,]+)", command, environ)


COUNTERS: Mapping[str, Count] = {"perf": count_with_perf, "valgrind": count_with_valgrind}


def _count(tool: Sequence[str], pattern: str, command: Sequence[str], environ: Mapping[str, str]) -> int | None:
    """Run a command under a tool, and return the number that `pattern` finds in the tool's `{log}`."""
    if which(tool[0]) is None:
        return None
    with TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.touch()
        done = subprocess.run(
            [*(part.format(log=log) for part in tool), *command],
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        number = re.search(pattern, log.read_text(), re.MULTILINE)
    if number is None:
        return None
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return int(number[1].replace(",", ""))
