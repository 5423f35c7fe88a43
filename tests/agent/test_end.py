"""SIGTERM ends the agent within seconds, whatever it is doing."""

from __future__ import annotations

import gzip
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from asyncdsm.agent.http.program import END_SECONDS
from tests.agent.payloads import INTAKE, bucket, payload, point, sketch
from tests.agent.test_serve import SIGNALS, address, agent

HEAD = f"POST {INTAKE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/msgpack\r\n"
SOON = END_SECONDS + 7
"""The machine may be busy."""


def seconds_to_end(process: subprocess.Popen[str], signal_: signal.Signals = signal.SIGTERM) -> float:
    """Send a signal and return how long the agent takes to end."""
    began = monotonic()
    process.send_signal(signal_)
    process.wait(60)
    return monotonic() - began


def connected(stack: ExitStack, url: str) -> socket.socket:
    parts = urlsplit(url)
    return stack.enter_context(socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30))


def test_agent_ends_while_clients_hang() -> None:
    with agent() as process, ExitStack() as stack:
        url = address(process)
        for said in (
            "",
            "POST /v0.",
            HEAD,
            f"{HEAD}Content-Length: 100\r\n\r\nx",
            f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1;x",
        ):
            for _ in range(10):
                connected(stack, url).sendall(said.encode())
        connected(stack, url).sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert seconds_to_end(process) < SOON
        assert process.returncode == 0


def heavy() -> bytes:
    """Return a small body that takes long to read: sketches of another mapping, with all the bins there are."""
    data = sketch(gamma=1.02, offset=0, contiguousBinCounts=[1.0] * 70_000, contiguousBinIndexOffset=-35_000)
    points = [point(Hash=hash_, EdgeLatency=data, PathwayLatency=data, PayloadSize=data) for hash_ in range(36)]
    return gzip.compress(payload(bucket(*points)), 1)


def test_agent_ends_while_it_reads_huge_bodies(tmp_path: Path) -> None:
    body = heavy()
    with agent("--store", str(tmp_path / "store.db")) as process, ExitStack() as stack:
        url = address(process)
        head = f"{HEAD}Content-Encoding: gzip\r\nContent-Length: {len(body) + 1}\r\n\r\n".encode()
        for number in range(12):
            connected(stack, url).sendall(head + body + bytes([number]))
        sleep(1)
        assert seconds_to_end(process) < SOON


@SIGNALS
def test_agent_ends_while_its_store_is_busy(tmp_path: Path, signal_: signal.Signals) -> None:
    path = tmp_path / "store.db"
    with agent("--store", str(path)) as process, ExitStack() as stack:
        url = address(process)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # SQLite waits for it for some seconds
            body = payload(bucket(point()))
            for _ in range(3):
                connected(stack, url).sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            sleep(0.5)
            assert seconds_to_end(process, signal_) < SOON


STUCK = """
import time
from asyncdsm.agent.http import program
from asyncdsm.agent.store.sqlite.store import SQLiteStore
SQLiteStore.close = lambda self: time.sleep(600)
program.END_SECONDS = 1.5
program.run_agent(program.Options(), live=False)
"""


@SIGNALS
def test_agent_that_hangs_is_ended_by_force_with_a_message(signal_: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        address(process)
        process.send_signal(signal_)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "asyncdsm agent: ended by force, because it did not end within 1.5 s\n")
