"""What the agent keeps and shows: bounds, lag, the table, and itself as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import httpx2
import pytest
from rich.console import Console

from asyncdsm.agent.intake import BucketReport, PointReport, Report
from asyncdsm.agent.serve import RunningAgent
from asyncdsm.agent.store import Store
from asyncdsm.agent.table import duration, render
from asyncdsm.agent.topology import lag_of, topology
from asyncdsm.bins import bin_of
from asyncdsm.sketch import Sketch

MINUTE = 60 * 10**9


class Clock:
    def __init__(self) -> None:
        self.now = 1_795_000_020.0

    def __call__(self) -> float:
        return self.now


def report(clock: Clock, *hashes: int, minutes_ago: float = 0, queue: str = "orders", latency: float = 0.5) -> Report:
    one = Sketch({bin_of(latency): 1})
    tags = ("direction:in", "group:g", f"topic:{queue}", "type:kafka")
    points = [PointReport(tags, hash_, 0, one, one, one) for hash_ in hashes]
    start = round((clock.now - minutes_ago * 60) * 1e9)
    return Report("s", "", "python", "h", [BucketReport(start, 10**10, points, [])])


def test_a_day_is_kept() -> None:
    clock = Clock()
    store = Store(now=clock)
    store.add(report(clock, 1))
    store.add(report(clock, 1, minutes_ago=24 * 60 + 1))
    assert store.ignored_rows == 1
    clock.now += 23 * 3600
    store.add(report(clock, 2))
    assert len(store.rows(24 * 60)[0]) == 2
    clock.now += 2 * 3600
    store.add(report(clock, 2))
    assert {key.hash for key in store.rows(24 * 60)[0]} == {2}
    assert store.forgotten_rows == 0


def test_rows_are_bounded() -> None:
    clock = Clock()
    store = Store(max_rows=10, now=clock)
    for minute in range(5):
        clock.now += 60
        store.add(report(clock, *range(minute * 4, minute * 4 + 4)))
    assert len(store.rows(60)[0]) <= 10
    assert store.forgotten_rows == 12


def test_only_the_minutes_asked_for() -> None:
    clock = Clock()
    store = Store(now=clock)
    store.add(report(clock, 1, minutes_ago=5))
    store.add(report(clock, 2))
    assert {key.hash for key in store.rows(1)[0]} == {2}
    assert {key.hash for key in store.rows(6)[0]} == {1, 2}


@pytest.mark.parametrize(
    ("produced", "high_watermark", "committed", "behind"),
    [(99, None, 58, 42), (99, 150, 58, 92), (None, 60, 58, 2), (50, None, 58, 0)],
)
def test_lag(produced: int | None, high_watermark: int | None, committed: int, behind: int) -> None:
    place = ("partition:0", "topic:t")
    backlogs = {
        (*place, "type:kafka_produce"): produced,
        (*place, "type:kafka_high_watermark"): high_watermark,
        ("consumer_group:g", *place, "type:kafka_commit"): committed,
    }
    (lag,) = lag_of({tags: value for tags, value in backlogs.items() if value is not None})
    assert lag["behind"] == behind


def test_clusters_are_kept_apart_and_no_offset_is_none() -> None:
    assert lag_of({
        ("kafka_cluster_id:a", "partition:0", "topic:t", "type:kafka_produce"): 99,
        ("consumer_group:g", "kafka_cluster_id:b", "partition:0", "topic:t", "type:kafka_commit"): 5,
        ("consumer_group:g", "kafka_cluster_id:a", "partition:0", "topic:t", "type:kafka_commit"): -1001,
    }) == []  # fmt: skip


def drawn(shown: dict[str, Any], width: int) -> str:
    console = Console(width=width, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    with console.file:
        console.print(render(shown))
        return console.export_text(styles=True)


@pytest.mark.parametrize("width", [80, 160])
def test_hostile_names_are_shown_and_not_obeyed(width: int) -> None:
    clock = Clock()
    store = Store(now=clock)
    names = ["[red]x[/red]", "\x1b[2Jgone", "two\nlines", "long" * 3000]
    for number, name in enumerate(names):
        store.add(report(clock, number, queue=name))
    text = drawn(topology(store, 10), width)
    assert "[red]" in text
    assert "\x1b[2J" not in text
    assert "two\nlines" not in text
    assert len(max(text.splitlines(), key=len)) < 1000


def test_the_slowest_stands_out_and_nothing_is_drawn_too() -> None:
    clock = Clock()
    store = Store(now=clock)
    assert "0 services" in drawn(topology(store, 10), 80)
    store.add(report(clock, 1, queue="quick", latency=0.01))
    store.add(report(clock, 2, queue="slow", latency=2.0))
    lines = drawn(topology(store, 10), 120).splitlines()
    (slow,) = [line for line in lines if "slow" in line]
    (quick,) = [line for line in lines if "quick" in line]
    assert "31m" in slow  # red
    assert "31m" not in quick


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0, "0 µs"), (5e-5, "50 µs"), (0.0123, "12.3 ms"), (3.14, "3.14 s"), (240, "4 min")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds).plain == text


async def test_what_tracers_ask_and_send_besides(agent: RunningAgent, client: httpx2.AsyncClient) -> None:
    assert "/v0.1/pipeline_stats" in (await client.get("/info")).json()["endpoints"]
    for path in ("/v0.4/traces", "/v0.5/traces", "/v0.6/stats", "/telemetry/proxy/api/v2/apmtelemetry"):
        assert (await client.post(path, content=b"x")).status_code == 200
    assert (await client.get("/api/health")).json()["payloads"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_as_a_program(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncdsm", "agent", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    assert httpx2.get(f"{url}/info").status_code == 200
    taken = subprocess.run(
        [sys.executable, "-m", "asyncdsm", "agent", "--port", url.rpartition(":")[2]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (taken.returncode, len(taken.stderr.splitlines())) == (1, 1)
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert (process.returncode, err) == (0, "")


def test_it_serves_its_own_machine_only() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "asyncdsm", "agent", "--host", "0.0.0.0"],  # noqa: S104
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "loopback" in refused.stderr
