"""`asyncdsm check`: real processes against a real agent; lines, JSON and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import httpx2
import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.maps import MapStore
from tests.agent.payloads import NOW, SECOND_NS, bucket, payload, point
from tests.agent.running import agent
from tests.agent.test_lag import COMMITTED, PRODUCED, Clock
from tests.brokers.process import free_port

WAIT = '[[rule]]\nname = "orders wait"\nwhen = "time in queue"\nqueue = "orders"\nabove = "{}"\nfor = "1 h"\n'
REPORTS = '[[rule]]\nname = "billing reports"\nwhen = "missing"\nservice = "{}"\nfor = "1 min"\nseverity = "critical"\n'
BEHIND = '[[rule]]\nname = "behind"\nwhen = "lag"\ngroup = "*"\nabove = {}\n'


def check(path: Path, *arguments: str, rules: str) -> subprocess.CompletedProcess[str]:
    path.write_text(rules)
    command = [sys.executable, "-m", "asyncdsm", "check", "--rules", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


def shop(ago: float = 5) -> SQLiteStore:
    """Return what two services report that have messages, the second of which is slow."""
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0, ago=ago)
    maps.passed("billing", "in", "orders", group="billing", seconds=[12.0] * 3, ago=ago)
    maps.passed("audit", "in", "orders", group="audit", seconds=[11.0] * 3, parent=0, ago=ago)
    return maps.store


def test_kept_rules_exit_with_0(path: Path) -> None:
    with agent(store=shop()) as running:
        done = check(path, "--url", running.url, rules=WAIT.format("1 min") + REPORTS.format("billing"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 rules checked: none is broken\n", "")


def test_broken_rules_exit_with_1_and_are_one_line_for_each_place(path: Path) -> None:
    rules = WAIT.format("10 s") + REPORTS.format("b*") + BEHIND.format(100)
    with agent(store=shop()) as running:
        done = check(path, "--url", running.url, rules=rules)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "WARNING orders wait: orders → billing, group billing: p99 of the time in queue is 11.9 s, above 10 s",
        "WARNING orders wait: orders → audit, group audit: p99 of the time in queue is 11.1 s, above 10 s",
        "UNKNOWN behind: nothing on the map matches it",
    ]


def test_places_of_a_rule_are_listed_up_to_a_bound(path: Path) -> None:
    maps = MapStore()
    for number in range(23):
        maps.passed(f"service-{number}", "in", "orders", group=f"group-{number}", seconds=[12.0] * 3, parent=0)
    with agent(store=maps.store) as running:
        done = check(path, "--url", running.url, rules=WAIT.format("10 s"))
    lines = done.stdout.splitlines()
    assert len({line for line in lines if " → service-" in line}) == 20
    assert lines[20:] == ["WARNING orders wait: and 3 more"]


def test_reader_that_has_read_enough_gets_no_traceback(path: Path) -> None:
    maps = MapStore()
    for number in range(20):
        maps.passed(f"service-{number}", "in", "orders", group=f"group-{number}" * 9, seconds=[12.0] * 3, parent=0)
    path.write_text("".join(WAIT.format("10 s").replace("orders wait", f"wait {each}") for each in range(20)))
    with agent(store=maps.store) as running:
        commands = [["check", "--rules", str(path), "--format", "json"], ["map", "--format", "json"], ["map"]]
        for arguments in commands:
            command = [sys.executable, "-m", "asyncdsm", *arguments, "--url", running.url]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                process.stdout.close()  # before anything is written: nobody reads a line of it
                assert (process.stderr.read(), process.wait(60)) == (b"", 141)


def test_latencies_of_the_minutes_count_and_not_only_of_the_last(path: Path) -> None:
    with agent(store=shop(ago=400)) as running:
        long = check(path, "--url", running.url, rules=WAIT.format("10 s"))
        short = check(path, "--url", running.url, "--minutes", "2", rules=WAIT.format("10 s"))
    assert (long.returncode, short.returncode) == (1, 2)
    assert short.stdout == "UNKNOWN orders wait: nothing on the map matches it\n"


def test_service_that_stopped_hours_ago_is_missing(path: Path) -> None:
    clock = Clock()
    clock.report(int(NOW) - 10, {PRODUCED: 99, COMMITTED: 10})
    clock.now += 3 * 3600
    with agent(store=clock.store) as running:
        done = check(path, "--url", running.url, rules=REPORTS.format("*"))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "CRITICAL billing reports: foreign: has not reported for 3 h\n"


def test_service_that_stopped_or_never_came_is_missing(path: Path) -> None:
    clock = Clock()
    clock.report(int(NOW) - 10, {PRODUCED: 99, COMMITTED: 10})
    clock.now += 90
    with agent(store=clock.store) as running:
        stopped = check(path, "--url", running.url, rules=REPORTS.format("f*"))
        never = check(path, "--url", running.url, rules=REPORTS.format("billing"))
        lag = check(path, "--url", running.url, rules=BEHIND.format(89))
    assert (stopped.returncode, stopped.stdout) == (
        1,
        "CRITICAL billing reports: foreign: has not reported for 90 s\n",
    )
    assert (never.returncode, never.stdout) == (
        1,
        "CRITICAL billing reports: billing: has not reported for 90 s\n",
    )
    assert (lag.returncode, lag.stdout) == (
        1,
        "WARNING behind: orders → group g: lag is 90 messages, above 89 messages\n",
    )


def test_agent_that_has_just_started_cannot_tell_what_is_missing(path: Path) -> None:
    with agent() as running:
        done = check(path, "--url", running.url, rules=REPORTS.format("billing"))
    assert (done.returncode, done.stdout) == (
        2,
        "UNKNOWN billing reports: billing has not been seen yet\n",
    )


def test_json_has_the_shape_of_the_api(path: Path) -> None:
    with agent(store=shop()) as running:
        done = check(path, "--url", running.url, "--format", "json", rules=WAIT.format("10 s"))
    (rule,) = json.loads(done.stdout)["rules"]
    assert (done.returncode, rule["name"], rule["state"]) == (1, "orders wait", "firing")
    assert rule["condition"] == "p99 of the time in queue above 10 s, queue orders"
    assert [alert["place"] for alert in rule["alerts"]] == [
        "orders → billing, group billing",
        "orders → audit, group audit",
    ]


def test_agent_that_cannot_be_reached_exits_with_2(path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = check(path, "--url", url, rules=WAIT.format("10 s"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"asyncdsm check: the agent at {url} does not answer")
    assert done.stderr.endswith("`asyncdsm agent` starts one\n")


def test_file_with_errors_exits_with_2_and_lists_all_of_them(path: Path) -> None:
    done = check(path, rules="[[rule]]\nname = 1\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.partition(" must")[0] for line in done.stderr.splitlines()] == [
        f"asyncdsm check: {path}: rule 1: name",
        f"asyncdsm check: {path}: rule 1: when",
    ]
    done = check(path, "--minutes", "0", rules=WAIT.format("10 s"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be a whole number of minutes from 1 to 1440, got '0'" in done.stderr


class Proxy(BaseHTTPRequestHandler):
    """An agent behind a proxy that fails where more than an hour is asked for."""

    target = ""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Pass a request on, or answer with 503."""
        minutes = self.path.rpartition("=")[2]
        self.asked.append(minutes)
        answer = httpx2.get(f"{self.target}{self.path}") if int(minutes) <= 60 else None
        self.send_response(answer.status_code if answer else 503)
        self.end_headers()
        self.wfile.write(answer.content if answer else b"no room")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Write nothing."""


def test_failed_answer_is_no_reason_to_look_at_a_shorter_range(path: Path) -> None:
    with agent(store=shop()) as running, HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        Proxy.target = running.url
        thread = Thread(target=proxy.serve_forever)
        thread.start()
        try:
            done = check(path, "--url", f"http://127.0.0.1:{proxy.server_port}", rules=REPORTS.format("billing"))
        finally:
            proxy.shutdown()
            thread.join()
    assert (done.returncode, done.stdout, Proxy.asked) == (2, "", ["10", "1440"])
    assert "HTTP status 503" in done.stderr


def test_agent_that_keeps_less_than_a_day_is_asked_for_what_the_rules_need(path: Path) -> None:
    store = SQLiteStore(kept_seconds=3600, now=lambda: NOW)
    maps = MapStore(store)
    maps.passed("billing", "in", "orders", group="billing", ago=5)
    with agent(store=store) as running:
        done = check(path, "--url", running.url, rules=REPORTS.format("billing"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 rule checked: none is broken\n", "")


DELIVERIES = """
[[rule]]
name = "again"
when = "redelivered"
above = "20 %"
[[rule]]
name = "dead"
when = "dead letters"
above = 1
[[rule]]
name = "fills"
when = "unread"
for = "3 min"
[[rule]]
name = "fills for long"
when = "unread"
for = "20 min"
"""


def test_messages_that_nobody_reads_or_that_come_again_are_lines(path: Path) -> None:
    maps = MapStore()
    for ago in (290, 5):
        maps.passed("shop", "out", "mails", parent=0, ago=ago)
    tags = ["direction:in", "topic:orders", "type:rabbitmq"]
    said = {"EdgeTags": tags, "Redelivered": 1, "DeadLettered": 1}
    start = int(NOW - 60) * SECOND_NS
    body = payload(bucket(point(EdgeTags=tags), Start=start, AsyncdsmFacts=[said]), Service="billing")
    maps.store.add(read_report(body, ""))
    with agent(store=maps.store) as running:
        done = check(path, "--url", running.url, rules=DELIVERIES)
    assert (done.returncode, done.stderr) == (1, "")
    again, fills = done.stdout.splitlines()
    assert again == "WARNING again: orders → billing: 25 % redelivered, above 20 %"
    assert fills.startswith("WARNING fills: mails: messages come in, and no service was seen reading them for 4.")
