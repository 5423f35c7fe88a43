"""The stand-in for Azure Service Bus and Event Hubs: a process of its own, `tests.brokers.azure_server`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.brokers.process import free_port, memory, serving

ROOT = str(Path(__file__).parents[2])


class AzureServer:
    """A namespace that can be killed and started again, on its old port and with its old data."""

    def __init__(self, folder: str, service: str) -> None:
        self._service = service
        self._folder, self._running = folder, ExitStack()
        self._port = free_port()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._port}"

    @property
    def connection_string(self) -> str:
        """What a client connects by, as to Microsoft's emulator: without TLS."""
        key = "SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=a2V5"
        return f"Endpoint=sb://{self.address};{key};UseDevelopmentEmulator=true;"

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [sys.executable, "-m", "tests.brokers.azure_server", self._service]
        self._running.enter_context(
            serving(
                lambda port: [*command, str(port), self._folder],
                {"PYTHONPATH": ROOT},
                folder=self._folder,
                port=self._port,
            )
        )

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self._running.close()


@contextmanager
def azure_server(service: str = "servicebus") -> Iterator[AzureServer]:
    """Run a namespace of a service, `servicebus` or `eventhubs`, for as long as the block lasts."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        server = AzureServer(folder, service)
        server.start()
        try:
            yield server
        finally:
            server.kill()
