"""`asyncdsm demo`, as a user runs it: what it shows, and that nothing stays behind however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

DEMO = [sys.executable, "-m", "asyncdsm", "demo"]


def services() -> set[int]:
    """Return the ids of the demo's service processes that live on this machine."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            continue
        if b"asyncdsm.demo." in command and state != "Z":
            found.add(int(process.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline
        threading.Event().wait(0.05)


@pytest.fixture(autouse=True)
def no_service_left() -> object:
    before = services()
    yield
    wait_until(lambda: services() <= before)


def test_the_slow_hop_is_found() -> None:
    done = subprocess.run([*DEMO, "--seconds", "6", "--json"], capture_output=True, text=True, timeout=90, check=True)
    shown = json.loads(done.stdout)
    assert [service["name"] for service in shown["services"]] == ["billing", "shipping", "shop"]
    assert [queue["name"] for queue in shown["queues"]] == ["invoices", "orders"]
    median = {(edge["service"], edge["direction"]): edge["edge_latency"]["p50"] for edge in shown["edges"]}
    assert set(median) == {("shop", "out"), ("billing", "in"), ("billing", "out"), ("shipping", "in")}
    assert max(median, key=lambda edge: median[edge]) == ("billing", "out")
    assert 0.3 < median["billing", "out"] < 0.6
    whole = {edge["service"]: edge["pathway_latency"]["p50"] for edge in shown["edges"]}
    assert whole["shipping"] > median["billing", "out"]
    counts = {(edge["service"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    assert len(set(counts.values())) == 1, counts  # every order went all the way, and every checkpoint arrived
    chain = {(point["hash"], point["parent"]) for point in shown["pathways"]}
    assert len(chain) == 4
    assert {group["group"] for group in shown["lag"]} == {"billing", "shipping"}


def test_it_ends_with_the_table() -> None:
    done = subprocess.run([*DEMO, "--seconds", "2"], capture_output=True, text=True, timeout=90, check=True)
    assert "3 services, 2 queues" in done.stdout
    assert "Most of the time goes here: billing" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind(number: signal.Signals) -> None:
    before = services()
    process = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(services() - before) == 3)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in out + err
    if number == signal.SIGINT:
        assert process.returncode == 0


def test_a_broker_that_is_not_there_is_one_clear_line() -> None:
    done = subprocess.run(
        [*DEMO, "--bootstrap-servers", "127.0.0.1:1", "--seconds", "2"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 1
    assert "asyncdsm demo: " in done.stdout
