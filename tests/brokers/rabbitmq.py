"""RabbitMQ, as Debian packages it: `apt-get install rabbitmq-server`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.brokers.process import BrokerError, free_port, memory, serving

INSTALLED = Path("/usr/lib/rabbitmq/lib")
START_SECONDS = 60.0


class RabbitMQ:
    """A server that can be killed and started again, on its old port and with its old data."""

    def __init__(self, folder: str) -> None:
        self._folder, self._running, self._port = folder, ExitStack(), 0
        self._epmd, self._dist = free_port(), free_port()

    @property
    def url(self) -> str:
        """The address, with the user that a fresh server has."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._port = self._running.enter_context(
            serving(self._command, self._environ(), START_SECONDS, folder=self._folder, port=self._port or None)
        )

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self._running.close()

    def _command(self, port: int) -> list[str]:
        # The script would start the daemon that Erlang finds its nodes with, and leave it behind.
        start = 'epmd -port "$ERL_EPMD_PORT" & RABBITMQ_NODE_PORT="$1" exec "$0" -noinput'
        return ["/bin/sh", "-c", start, server(), str(port)]

    def _environ(self) -> dict[str, str]:
        home = Path(self._folder)
        return {
            "HOME": str(home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the server, instead of waiting for it
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(home / "none"),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"asyncdsm{os.getpid()}@localhost",
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }


def server() -> str:
    """Return the program. Debian's own script around it wants another user, and listens everywhere."""
    for program in sorted(INSTALLED.glob("rabbitmq_server-*/sbin/rabbitmq-server"), reverse=True):
        return str(program)
    raise BrokerError("RabbitMQ is missing: apt-get install -y --no-install-recommends rabbitmq-server")


@contextmanager
def rabbitmq() -> Iterator[RabbitMQ]:
    """Run a RabbitMQ for as long as the block lasts."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        broker = RabbitMQ(folder)
        broker.start()
        try:
            yield broker
        finally:
            broker.kill()
