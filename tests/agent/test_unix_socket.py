"""The agent at a Unix socket, beside its port."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.errors import UnixSocketError
from tests.agent.payloads import INTAKE, MSGPACK, bucket, payload, point
from tests.agent.running import agent as running_agent
from tests.agent.test_serve import address, agent, refused
from tests.differential.process import run

BODY = payload(bucket(point()))


def at(socket_path: Path) -> httpx2.Client:
    return httpx2.Client(transport=httpx2.HTTPTransport(uds=str(socket_path)), base_url="http://localhost", timeout=20)


def services(running: RunningAgent) -> list[str]:
    """Return the names of the services that reported."""
    topology = httpx2.get(f"{running.url}/api/topology", timeout=30).json()
    return [service["name"] for service in topology["services"]]


def test_port_and_socket_are_served_together(socket_path: Path) -> None:
    with running_agent(unix_socket=socket_path) as running, at(socket_path) as local:
        assert local.post(INTAKE, content=BODY, headers=MSGPACK).status_code == 202
        assert local.get("/api/health").json()["payloads"] == 1
        assert httpx2.get(f"{running.url}/api/health").json()["payloads"] == 1
    assert not socket_path.exists()


def test_socket_is_open_to_every_user(socket_path: Path) -> None:
    with running_agent(unix_socket=socket_path):
        mode = socket_path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o666


def test_socket_requires_the_token_too(socket_path: Path) -> None:
    with running_agent(unix_socket=socket_path, token="a-token-for-the-tests") as running, at(socket_path) as local:  # noqa: S106
        assert local.get("/api/topology").status_code == 401
        assert running.store.payloads == 0


def test_socket_of_a_killed_agent_is_replaced(socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path))
    with running_agent(unix_socket=socket_path), at(socket_path) as local:
        assert local.get("/info").status_code == 200
    assert not socket_path.exists()


def test_socket_of_another_agent_is_not_replaced(socket_path: Path) -> None:
    with running_agent(unix_socket=socket_path), at(socket_path) as local:
        with (
            pytest.raises(UnixSocketError, match="another program listens there"),
            running_agent(unix_socket=socket_path),
        ):
            raise AssertionError("two agents at one socket")
        assert local.get("/info").status_code == 200


def test_file_that_is_not_a_socket_is_not_replaced(socket_path: Path) -> None:
    socket_path.write_text("mine")
    with (
        pytest.raises(UnixSocketError, match="a file that is not a socket"),
        running_agent(unix_socket=socket_path),
    ):
        raise AssertionError("a socket in place of a file")
    assert socket_path.read_text() == "mine"


def test_replaced_socket_is_not_removed(socket_path: Path) -> None:
    with running_agent(unix_socket=socket_path), socket.socket(socket.AF_UNIX) as other:
        socket_path.unlink()
        other.bind(str(socket_path))
    assert socket_path.exists()


@pytest.mark.parametrize(
    ("name", "problem"), [("none/apm.socket", "No such file or directory"), ("x" * 120, "AF_UNIX path too long")]
)
def test_unusable_socket_path_is_one_line_on_stderr(socket_path: Path, name: str, problem: str) -> None:
    wrong = socket_path.parent / name
    code, said = refused("--port", "0", "--unix-socket", str(wrong))
    assert (code, said) == (1, f"asyncdsm agent: cannot listen on the Unix socket {wrong}: {problem}\n")


def test_program_prints_the_socket_and_removes_it(socket_path: Path) -> None:
    with agent("--unix-socket", str(socket_path)) as process:
        assert httpx2.get(f"{address(process)}/info").status_code == 200
        assert process.stdout is not None
        assert process.stdout.readline() == f"asyncdsm agent listens on unix://{socket_path}\n"
        with at(socket_path) as local:
            assert local.post(INTAKE, content=BODY, headers=MSGPACK).status_code == 202
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    assert not socket_path.exists()


def test_agent_starts_again_after_a_kill(socket_path: Path) -> None:
    for _ in range(2):
        with agent("--unix-socket", str(socket_path)) as process:
            address(process)
            assert process.stdout is not None
            assert process.stdout.readline().startswith("asyncdsm agent listens on unix://")
            process.kill()
            process.wait()
            assert socket_path.exists()


def test_real_ddtrace_reports_through_the_socket(socket_path: Path) -> None:
    with running_agent(unix_socket=socket_path) as running:
        run(
            "sender.py", DD_DATA_STREAMS_ENABLED="true", DD_SERVICE="theirs", DD_TRACE_AGENT_URL=f"unix://{socket_path}"
        )
        assert services(running) == ["theirs"]


PROGRAM = """
from asyncdsm import DataStreams, Settings, set_produce_checkpoint
import asyncio, os
async def main():
    async with DataStreams(Settings.from_environ(os.environ)):
        set_produce_checkpoint("kafka", "orders", {}.__setitem__)
asyncio.run(main())
"""


def test_asyncdsm_reports_through_the_socket(socket_path: Path) -> None:
    with running_agent(unix_socket=socket_path) as running:
        environ = {**os.environ, "DD_SERVICE": "ours", "DD_TRACE_AGENT_URL": f"unix://{socket_path}"}
        subprocess.run([sys.executable, "-c", PROGRAM], env=environ, check=True, timeout=60)
        assert services(running) == ["ours"]
