"""The agent as a program: its address, its end, and what it says when it cannot start."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import httpx2
import pytest

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import INTAKE, MSGPACK, bucket, payload, point

AGENT = [sys.executable, "-m", "asyncdsm", "agent"]
SIGNALS = pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=lambda signal_: signal_.name)


@contextmanager
def agent(*arguments: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """Run the agent on a free port; kill it if it has not ended by itself."""
    command = [*AGENT, "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def address(process: subprocess.Popen[str]) -> str:
    """Return the address that the agent prints first."""
    assert process.stdout is not None
    text, url = process.stdout.readline().rsplit(" ", 1)
    assert text == "asyncdsm agent listens on"
    return url.strip()


def ended(process: subprocess.Popen[str], signal_: signal.Signals) -> int:
    """Send a signal and return the exit code; nothing is said on the way out."""
    process.send_signal(signal_)
    out, err = process.communicate(timeout=10)
    assert (out or "", err) == ("", "")
    return process.returncode


def refused(*arguments: str) -> tuple[int, str]:
    """Return the exit code and what was said on stderr."""
    process = subprocess.run([*AGENT, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    return process.returncode, process.stderr


@SIGNALS
def test_agent_starts_answers_and_ends_on_signal(signal_: signal.Signals) -> None:
    with agent() as process:
        url = address(process)
        assert urlsplit(url).hostname == "127.0.0.1"
        with httpx2.Client(base_url=url) as client:
            assert INTAKE in client.get("/info").json()["endpoints"]
            assert client.post(INTAKE, content=payload(bucket(point())), headers=MSGPACK).status_code == 202
            assert client.get("/api/health").json()["payloads"] == 1
            # The connection stays open, and keeps nobody.
            assert ended(process, signal_) == 0


@SIGNALS
def test_unfinished_request_does_not_keep_the_agent_running(signal_: signal.Signals) -> None:
    with agent() as process:
        parts = urlsplit(address(process))
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as client:
            client.sendall(
                f"POST {INTAKE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/msgpack\r\n"
                "Content-Length: 100\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            assert client.recv(100).startswith(b"HTTP/1.1 100")  # it waits for the body
            began = monotonic()
            assert ended(process, signal_) == 0
            assert monotonic() - began < 5


def test_agent_listens_on_ipv6() -> None:
    with agent("--host", "::1") as process:
        url = address(process)
        assert url.startswith("http://[::1]:")
        assert httpx2.get(f"{url}/info").status_code == 200
        assert ended(process, signal.SIGTERM) == 0


@SIGNALS
def test_live_table_is_shown_until_a_signal(signal_: signal.Signals) -> None:
    master, terminal = pty.openpty()
    try:
        with agent(stdout=terminal) as process:
            seen = b""
            while b"finds out more" not in seen:
                seen += os.read(master, 4096)
            assert b"asyncdsm agent listens on http://127.0.0.1:" in seen
            assert b"0 services, 0 queues" in seen
            assert ended(process, signal_) == 0
            os.set_blocking(master, False)
            assert b"\x1b[?25h" in os.read(master, 65_536)  # the cursor is back
    finally:
        os.close(master)
        os.close(terminal)


def test_store_file_survives_a_kill(tmp_path: Path) -> None:
    path, counts = tmp_path / "dsm.db", list[int]()
    for number in range(3):
        body = payload(bucket(point()), Service=f"service-{number}")  # the same body would be one that is sent again
        with agent("--store", str(path), "--keep", "2d") as process, httpx2.Client(base_url=address(process)) as client:
            assert client.post(INTAKE, content=body, headers=MSGPACK).status_code == 202
            counts.append(client.get("/api/health").json()["payloads"])
            process.kill()
            process.wait()
    assert counts == [1, 2, 3]


def test_unusable_store_file_is_one_line_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no database\n" * 1000)
    code, said = refused("--store", str(path), "--port", "0")
    assert (code, said) == (1, f"asyncdsm agent: cannot use the store {path}: file is not a database\n")
    with agent("--store", str(tmp_path / "dsm.db")) as process:
        address(process)
        code, said = refused("--store", str(tmp_path / "dsm.db"), "--port", "0")
    assert (code, said.count("\n")) == (1, 1)
    assert "another agent has it open" in said


def test_locked_store_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dsm.db"
    with closing(SQLiteStore(path, decode=read_report)):  # without a forwarder, and so without its table
        pass
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        code, said = refused("--store", str(path), "--port", "0", "--forward", "http://127.0.0.1:1")
    assert (code, said) == (1, f"asyncdsm agent: cannot use the store {path}: database is locked\n")


@pytest.mark.parametrize("keep", ["7", "0d", "x", "-1d", "10m", "367d", ""])
def test_wrong_keep_time_exits_with_2(keep: str) -> None:
    code, said = refused(f"--keep={keep}")
    assert code == 2
    assert said.splitlines()[-1].endswith(f"must be a duration from 1h to 366d, such as 36h or 7d, got {keep!r}")


def test_port_in_use_is_one_line_on_stderr() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = refused("--port", str(port))
    assert code == 1
    assert said.startswith(f"asyncdsm agent: cannot listen on 127.0.0.1 port {port}: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])  # noqa: S104
def test_public_host_without_token_is_not_served(host: str) -> None:
    code, said = refused("--host", host, "--port", "0")
    assert code == 1
    assert said.startswith(f"asyncdsm agent: cannot listen on {host} port 0: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_wrong_port_exits_with_2(port: str) -> None:
    code, said = refused(f"--port={port}")
    assert code == 2
    assert said.splitlines()[-1].endswith(f"must be a port from 0 to 65535, got {port!r}")


async def test_agent_runs_inside_another_program() -> None:
    async with running_agent() as one, running_agent("localhost") as other:
        assert one.url != other.url
        async with httpx2.AsyncClient() as client:
            await client.post(f"{one.url}{INTAKE}", content=payload(), headers=MSGPACK)
        assert (one.store.payloads, other.store.payloads) == (1, 0)


async def test_port_is_closed_after_the_block() -> None:
    async with running_agent() as agent:
        pass
    with pytest.raises(OSError, match="Connect"):
        await asyncio.open_connection("127.0.0.1", urlsplit(agent.url).port)


async def test_port_of_another_agent_is_rejected() -> None:
    async with running_agent() as agent:
        with pytest.raises(OSError, match="in use"):
            async with running_agent(port=urlsplit(agent.url).port or 0):
                raise AssertionError("two agents on one port")
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"{agent.url}/info")).status_code == 200


async def test_answers_are_sent_without_delay() -> None:
    """Without TCP_NODELAY, every answer but the first on a connection takes 40 ms."""
    async with running_agent() as agent, httpx2.AsyncClient(base_url=agent.url) as client:
        began = monotonic()
        for _ in range(50):
            assert (await client.get("/info")).status_code == 200
        assert monotonic() - began < 1
