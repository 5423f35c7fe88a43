"""`asyncdsm top` in a real terminal: live, through an agent that goes away and comes back, to its end."""

from __future__ import annotations

import os
import pty
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fcntl import ioctl
from io import StringIO
from select import select
from termios import TIOCSWINSZ
from time import monotonic
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from asyncdsm.agent.queries.topology import topology
from asyncdsm.cli.top import draw_page
from tests.agent.maps import HOSTILE, MapStore, slowed
from tests.agent.running import agent

TOP = [sys.executable, "-m", "asyncdsm", "top"]
SECONDS = 60


class Terminal:
    """What runs in a terminal of 40 lines of 120 columns, and all that it wrote."""

    def __init__(self, *arguments: str) -> None:
        self.master, terminal = pty.openpty()
        ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        command = [*TOP, *arguments]
        self.process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
        os.close(terminal)
        self.seen = ""

    def wait_for(self, text: str) -> None:
        """Read until the text comes, from here on."""
        deadline, self.seen = monotonic() + SECONDS, ""
        while text not in self.seen:
            assert monotonic() < deadline, f"no {text!r} in {self.seen!r}"
            if select([self.master], [], [], 1)[0]:
                self.seen += os.read(self.master, 65_536).decode(errors="replace")

    def end(self, number: signal.Signals) -> int:
        """Send a signal, read on, and return the exit code."""
        self.process.send_signal(number)
        while select([self.master], [], [], SECONDS)[0]:
            try:
                self.seen += os.read(self.master, 65_536).decode(errors="replace")
            except OSError:  # nobody holds the other end any more
                break
        return self.process.wait(SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@contextmanager
def top(*arguments: str) -> Iterator[Terminal]:
    with closing(Terminal(*arguments)) as terminal:
        yield terminal


def shop() -> MapStore:
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0)
    maps.passed("billing", "in", "orders", group="billing", seconds=[0.4])
    return maps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_top_follows_the_map_until_a_signal(number: signal.Signals) -> None:
    maps = shop()
    with agent(store=maps.store) as running, top("--url", running.url) as terminal:
        terminal.wait_for("2 services, 1 queue")
        maps.passed("shipping", "out", "parcels")
        terminal.wait_for("3 services, 2 queues")
        assert terminal.end(number) == 0
    assert "\x1b[?1049l" in terminal.seen  # the screen from before is back
    assert "Traceback" not in terminal.seen


def test_top_waits_for_an_agent_that_comes_back() -> None:
    maps = shop()
    with agent(store=maps.store) as running:
        port = urlsplit(running.url).port or 0
        terminal = Terminal("--url", running.url)
        terminal.wait_for("2 services")
    with closing(terminal):
        terminal.wait_for("the map is from")
        with agent(port=port, store=maps.store):
            terminal.wait_for(f"http://127.0.0.1:{port} · ")
            assert terminal.end(signal.SIGINT) == 0


def test_top_without_agent_fails_with_one_line() -> None:
    with top("--url", "http://127.0.0.1:1") as terminal:
        terminal.wait_for("asyncdsm top: the agent at http://127.0.0.1:1 does not answer")
        assert terminal.process.wait(SECONDS) == 1


def test_top_without_terminal_exits_with_1() -> None:
    done = subprocess.run(TOP, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not a terminal; asyncdsm map" in done.stderr


def drawn(maps: MapStore, height: int = 40, problem: str = "") -> list[str]:
    console = Console(file=StringIO(), width=120, height=height, color_system=None, legacy_windows=False)
    console.print(draw_page(topology(maps.store, 10), "http://agent", problem, "12:00:00", height))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().split("\n")


def test_hops_without_room_are_counted() -> None:
    maps = MapStore()
    for number in range(50):
        maps.passed(f"service-{number}", "out", "orders", seconds=[number + 1.0])
    lines = drawn(maps, height=24)
    assert len(lines) <= 24
    assert any("service-49 " in line for line in lines)
    assert any(re.match(r"and 3\d faster edges without room", line) for line in lines)


def test_slower_hop_is_a_warning() -> None:
    lines = drawn(slowed())
    assert any(line.startswith("⚠ orders-of-europe (kafka) → billing-of-europe slower since ") for line in lines)


def test_warnings_without_room_are_counted() -> None:
    maps = MapStore()
    for number in range(20):
        maps.passed("shop", "out", f"unread-{number}", parent=0, ago=290)
        maps.passed("shop", "out", f"unread-{number}", parent=0)
    lines = drawn(maps, height=24)
    warnings = [line for line in lines if line.startswith("⚠ ")]
    assert len(lines) <= 24
    assert len(warnings) == 6
    assert warnings[-1].rstrip() == "⚠ and 15 more: asyncdsm map lists them"


def test_outdated_map_is_marked() -> None:
    assert "gone; the map is from 12:00:00" in drawn(shop(), problem="gone")[0]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_printable(name: str) -> None:
    maps = MapStore()
    maps.passed(name, "in", name, group=name, parent=0)
    assert all(character.isprintable() for line in drawn(maps) for character in line)
