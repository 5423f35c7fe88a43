"""`python -m tests.fuzz [--seconds 600] [TARGET ...]`: exit code 1 where something was found, and what it was."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.seeds import SEEDS

ROOT = Path(__file__).parents[2]
NATIVE = "native"
"""The target in C: `tests/cores/arithmetic.c`, under libFuzzer and sanitizers. It needs clang."""
SANITIZERS = ["-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-DFUZZER"]
GRACE_SECONDS = 120.0
"""For importing, and for the last input."""


def main() -> int:
    """Fuzz every target for its share of the time, as many at once as there are processors."""
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", choices=[*SEEDS, NATIVE, []], metavar="TARGET", help=", ".join([*SEEDS, NATIVE])
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="in all (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at once (default: %(default)s)")
    options = parser.parse_args()
    names = options.targets or [*SEEDS, NATIVE]
    share = max(1, round(options.seconds * options.jobs / len(names)))
    with TemporaryDirectory(prefix="asyncdsm-fuzz-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        well = list(pool.map(partial(fuzzed, folder=folder, seconds=share), names))
    return 0 if all(well) else 1


def command_for(name: str, folder: str, seconds: int) -> list[str]:
    """Return the command that fuzzes a target; the one in C is compiled first."""
    if name != NATIVE:
        return [sys.executable, "-m", "tests.fuzz.one", name, folder, str(seconds)]
    program, source = str(Path(folder, NATIVE)), str(ROOT / "tests" / "cores" / "arithmetic.c")
    headers = f"-I{ROOT / 'asyncdsm' / 'core' / 'native'}"
    subprocess.run(["clang", *SANITIZERS, headers, source, "-o", program, "-lm"], check=True)
    return [program, f"-max_total_time={seconds}", "-max_len=512", f"-artifact_prefix={folder}/{name}-"]


def fuzzed(name: str, folder: str, seconds: int) -> bool:
    """Fuzz one target; say what came of it, and whether it was nothing."""
    process = subprocess.run(
        command_for(name, folder, seconds),
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "integrations")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds + GRACE_SECONDS,
    )
    said = process.stdout.decode(errors="replace")
    done = re.search(r"Done (\d+) (?:runs )?in (\d+) second", said)
    if process.returncode == 0 and done:
        print(f"{name:14}{int(done[1]):>12,} inputs in {done[2]} s: nothing", flush=True)
        return True
    print(f"{name:14}FOUND (exit code {process.returncode})\n{said[-4000:]}", flush=True)
    for path in Path(folder).glob(f"{name}-*"):
        print(f"{path.name}: {path.read_bytes()!r}", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
