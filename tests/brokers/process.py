"""Start a server of a broker on a free loopback port, wait until it answers, and stop it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from time import monotonic
from typing import IO

GUARD = str(files("asyncdsm.cli.demo").joinpath("guard.py"))
MEMORY = Path("/dev/shm")  # noqa: S108  # brokers write a lot, and nothing of it is to be kept
# Below those that Linux gives to connections: a client that tries to reach a server which was killed may get its port.
PORTS = range(12_000, 32_000)
ATTEMPTS = 3  # between looking for a free port and listening on it, somebody else may take it

running: set[int] = set()
"""The ids of the guards that run: a broker may outlive the test that was the first to need it."""


class BrokerError(RuntimeError):
    """A broker is missing or does not come up: tests that need it fail, they are not skipped."""


def bundled(package: str, *path: str) -> str:
    """Return the path of a program that came inside a Python package."""
    try:
        program = Path(str(files(package).joinpath(*path)))
    except ModuleNotFoundError:
        raise BrokerError(f"{package} is not installed: install the dependency group `brokers`") from None
    if not os.access(program, os.X_OK):
        raise BrokerError(f"{package} has no program {'/'.join(path)} for this machine")
    return str(program)


@contextmanager
def serving(
    command: Callable[[int], Sequence[str]],
    environ: Mapping[str, str] | None = None,
    patience: float = 20,
    *,
    folder: str | None = None,
    port: int | None = None,
) -> Iterator[int]:
    """Run `command(port)` for as long as the block lasts; yield the port when it answers.

    `environ` is added to the environment; `patience` is in seconds. `folder` and `port` are fresh ones unless given,
    which is for a broker that comes back.
    """
    with TemporaryFile() as log:
        process, port = _started(
            command, log, {**os.environ, **(environ or {})}, patience, folder=folder, own_port=port
        )
        try:
            yield port
        finally:
            _stop(process)


@contextmanager
def paused(guards: Collection[int]) -> Iterator[None]:
    """Stop the servers of these guards for as long as the block lasts, as a machine that swaps would."""
    groups = [int(child) for guard in guards for child in _children(guard)]
    assert groups, "nothing runs that could be paused"
    for group in groups:
        os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        for group in groups:
            os.killpg(group, signal.SIGCONT)


def _children(guard: int) -> list[str]:
    return Path(f"/proc/{guard}/task/{guard}/children").read_text().split()


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on at this moment."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def memory() -> str:
    """Return the folder for what need not last: in memory where the machine has that."""
    return str(MEMORY) if os.access(MEMORY, os.W_OK) else gettempdir()


def _started(
    command: Callable[[int], Sequence[str]],
    log: IO[bytes],
    environ: Mapping[str, str],
    patience: float,
    *,
    folder: str | None,
    own_port: int | None,
) -> tuple[subprocess.Popen[bytes], int]:
    where = [memory(), "new"] if folder is None else [folder, ""]
    for _ in range(ATTEMPTS):
        port = own_port or free_port()
        # A session of its own, so that Ctrl-C reaches pytest alone, which then stops the broker in its turn.
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", GUARD, *where, *command(port)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        running.add(process.pid)
        try:
            if _answers(process, port, patience):
                return process, port
        except BaseException:
            _stop(process)
            raise
        _stop(process)
    log.seek(0)
    raise BrokerError(f"{command(0)} does not answer:\n{log.read().decode(errors='replace')[-2000:]}")


def _answers(process: subprocess.Popen[bytes], port: int, patience: float) -> bool:
    """Connect until it works; False when the process ended or patience did."""
    deadline = monotonic() + patience
    while process.poll() is None and monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return process.poll() is None
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.002)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.wait(10)
    running.discard(process.pid)
