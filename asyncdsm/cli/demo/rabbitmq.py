"""A RabbitMQ on the loopback interface, if the server is installed: nothing of it stays behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from time import monotonic

from asyncdsm.errors import AsyncDSMError

GUARD = str(Path(__file__).with_name("guard.py"))
START_SECONDS, STOP_SECONDS = 60.0, 10.0

# By itself the server would start the daemon that Erlang finds its nodes with, and leave it behind.
_START = 'epmd -port "$ERL_EPMD_PORT" & exec "$0" -noinput'


class NoRabbitMQError(AsyncDSMError, RuntimeError):
    """The server that is installed does not start."""


def installed_server() -> str | None:
    """Return the program, None where there is none.

    Not Debian's script around it, which wants to be run by its own user.
    """
    found = shutil.which("rabbitmq-server", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    if found is None:
        return None
    program = Path(found).resolve()
    if program.name == "rabbitmq-script-wrapper":
        program = program.with_name("rabbitmq-server").resolve()
    return str(program)


def command_of(server: str) -> list[str]:
    """Return what starts the server, with `environment`, in the folder for its data."""
    return ["/bin/sh", "-c", _START, server]


def environment(port: int, node_port: int, epmd_port: int) -> dict[str, str]:
    """Return what tells the server to listen on these ports of loopback, and to keep all it writes where it runs."""
    return {
        "HOME": ".",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the server, instead of waiting for it
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": "none",
        "RABBITMQ_DIST_PORT": str(node_port),
        "RABBITMQ_ENABLED_PLUGINS_FILE": "plugins",
        "RABBITMQ_LOG_BASE": "log",
        "RABBITMQ_MNESIA_BASE": "data",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODENAME": f"asyncdsm{port}@localhost",
        "RABBITMQ_PID_FILE": "pid",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
    }


@contextmanager
def own_rabbitmq(server: str) -> Iterator[str]:
    """Run a server inside the block; yields its URL. Raises NoRabbitMQError if it does not come up."""
    port, node_port, epmd_port = _free_ports(3)
    process = subprocess.Popen(  # noqa: S603  (what is installed)
        [sys.executable, "-I", "-S", GUARD, gettempdir(), "new", *command_of(server)],
        env={**_without_settings(os.environ), **environment(port, node_port, epmd_port)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the demo, which then ends it in order
    )
    try:
        _wait_for(process, port)
        yield f"amqp://guest:guest@127.0.0.1:{port}/"
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(STOP_SECONDS)


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what is meant for another RabbitMQ: it may name that one's data."""
    return {name: value for name, value in environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = monotonic() + START_SECONDS
    while process.poll() is None and monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    raise NoRabbitMQError(f"{process.args!r} does not answer")


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
