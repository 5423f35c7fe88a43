"""RabbitMQ, as Debian packages it: `apt-get install rabbitmq-server`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

from asyncdsm.cli.demo.rabbitmq import START_SECONDS, find_rabbitmq, rabbitmq_command, rabbitmq_environ
from tests.brokers.process import BrokerError, free_port, memory, serving


class RabbitMQ:
    """A server that can be killed and started again, on its old port and with its old data."""

    def __init__(self, folder: str) -> None:
        self._folder, self._running = folder, ExitStack()
        self._port, self._node_port, self._epmd_port = (free_port() for _ in range(3))

    @property
    def url(self) -> str:
        """The address, with the user that a fresh server has."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start it, and return when it answers."""
        server = find_rabbitmq()
        if server is None:
            raise BrokerError("RabbitMQ is missing: apt-get install -y --no-install-recommends rabbitmq-server")
        environ = rabbitmq_environ(self._port, self._node_port, self._epmd_port)
        command = rabbitmq_command(server)
        self._running.enter_context(
            serving(lambda _: command, environ, START_SECONDS, folder=self._folder, port=self._port)
        )

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self._running.close()


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
