"""Mosquitto, an MQTT broker, as Debian packages it: `apt-get install mosquitto`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.brokers.process import BrokerError, free_port, memory, serving

SERVER = "/usr/sbin/mosquitto"


class Mosquitto:
    """A broker that can be killed and started again, on its old port and with what it has stored."""

    def __init__(self, folder: str, options: tuple[str, ...]) -> None:
        """`options` are further lines of its configuration file."""
        self._folder, self._options, self._running = folder, options, ExitStack()
        self.port: int = free_port()
        """Its port, on loopback."""

    def start(self) -> None:
        """Start it, and return when it answers."""
        if shutil.which(SERVER) is None:
            raise BrokerError("mosquitto is missing: apt-get install -y --no-install-recommends mosquitto")
        self._running.enter_context(serving(self._command, folder=self._folder, port=self.port))

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self._running.close()

    def _command(self, port: int) -> list[str]:
        path = Path(self._folder, "mosquitto.conf")
        lines = (f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", *self._options)
        path.write_text("\n".join(lines))
        return [SERVER, "-c", str(path)]


@contextmanager
def run_mosquitto(*options: str) -> Iterator[Mosquitto]:
    """Run a broker for as long as the block lasts, with further lines of configuration."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        broker = Mosquitto(folder, options)
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()
