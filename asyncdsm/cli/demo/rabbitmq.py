"""Runs the installed RabbitMQ on the loopback interface, and leaves no process or file behind."""

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

# The server would start the daemon epmd, by which Erlang finds its nodes, and leave it running. So start it here.
_START = 'epmd -port "$ERL_EPMD_PORT" & exec "$0" -noinput'


class NoRabbitMQError(AsyncDSMError, RuntimeError):
    """The installed RabbitMQ did not start."""


def find_rabbitmq() -> str | None:
    """Return the path of the installed server, None if there is none.

    Not that of Debian's wrapper script, which runs only as the user `rabbitmq` or root.
    """
    found = shutil.which("rabbitmq-server", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
    if found is None:
        return None
    program = Path(found).resolve()
    if program.name == "rabbitmq-script-wrapper":
        program = program.with_name("rabbitmq-server").resolve()
    return str(program)


def rabbitmq_command(server: str) -> list[str]:
    """Return the command that starts the server. It needs `rabbitmq_environ`, and stores its data where it runs."""
    return ["/bin/sh", "-c", _START, server]


def rabbitmq_environ(port: int, node_port: int, epmd_port: int) -> dict[str, str]:
    """Return environment variables that make the server use these ports of loopback, and write only where it runs."""
    return {
        "HOME": ".",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_ALLOW_INPUT": "1",  # the script then becomes the server, instead of waiting for it
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
def run_rabbitmq(server: str) -> Iterator[str]:
    """Run a server during the block; yields its URL. Raises NoRabbitMQError if it does not start."""
    port, node_port, epmd_port = _free_ports(3)
    process = subprocess.Popen(  # noqa: S603  (the installed server)
        [sys.executable, "-I", "-S", GUARD, gettempdir(), "new", *rabbitmq_command(server)],
        env={**_without_rabbitmq_variables(os.environ), **rabbitmq_environ(port, node_port, epmd_port)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must reach only the demo, which then stops the server
    )
    try:
        _wait_for_port(process, port)
        yield f"amqp://guest:guest@127.0.0.1:{port}/"
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(STOP_SECONDS)


def _without_rabbitmq_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables without those of another RabbitMQ, whose data they may name."""
    return {name: value for name, value in environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}


def _wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = monotonic() + START_SECONDS
    while process.poll() is None and monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    how = "did not start" if process.poll() is None else f"ended with exit code {process.returncode}"
    raise NoRabbitMQError(f"the installed RabbitMQ {how}; use `--rabbitmq off` for a demo without it")


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
