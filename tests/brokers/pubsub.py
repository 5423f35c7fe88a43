"""A fake of Google Pub/Sub, since Google's emulator cannot be had: `pubsub_server.py`, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.brokers.process import free_port, memory, serving

PROGRAM = str(Path(__file__).with_name("pubsub_server.py"))


class PubSubServer:
    """A server that can be killed and started again, on its old port and with its old data."""

    def __init__(self, folder: str) -> None:
        self._folder, self._running = folder, ExitStack()
        self._port = free_port()

    @property
    def address(self) -> str:
        """The host and the port, as the client's PUBSUB_EMULATOR_HOST has them."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [sys.executable, PROGRAM, self._folder]
        self._running.enter_context(
            serving(lambda port: [*command, str(port)], folder=self._folder, port=self._port, patience=60)
        )

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self._running.close()


@contextmanager
def pubsub_server() -> Iterator[PubSubServer]:
    """Run a server for as long as the block lasts."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        server = PubSubServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
