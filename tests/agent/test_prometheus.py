"""A real Prometheus scrapes the agent, with the configuration and the rules of `examples/deploy/prometheus`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import Any

import anyio
import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from anyio import to_thread

from tests.agent.payloads import Client
from tests.agent.test_metrics import report_pipeline
from tests.brokers.prometheus import find_program, prometheus
from tests.brokers.receivers import find_built

EXAMPLE = Path(__file__).parents[2] / "examples" / "deploy" / "prometheus"
RULES_TEST = Path(__file__).with_name("prometheus_rules_test.yml")
WRITTEN = 'sum by (messaging_destination_name) (messaging_client_sent_messages_total{service_name="shop"})'
MEDIAN = "histogram_quantile(0.5, sum by (le) (asyncdsm_queue_duration_seconds_bucket))"


def run_promtool(*arguments: str, given: str | None = None) -> str:
    """Run promtool, which must have nothing to say against its input. Return what it printed."""
    return run_program(find_program("promtool"), *arguments, given=given)


def run_program(*command: str, given: str | None = None, patience: float = 60) -> str:
    """Run a program, which must succeed within so many seconds. Return what it printed."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=patience, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def example(tmp_path: Path, client: Client) -> Path:
    """Give the example's configuration, which scrapes the test's agent every 100 ms."""
    for file in EXAMPLE.iterdir():
        copy(file, tmp_path)
    path = tmp_path / "prometheus.yml"
    text = path.read_text().replace("127.0.0.1:8126", f"{client.base_url.host}:{client.base_url.port}")
    path.write_text(text.replace("15s", "100ms"))
    return path


async def ask(query: str, http: httpx2.AsyncClient) -> list[Any]:
    """Return Prometheus' answer to a query in PromQL."""
    answer = (await http.get("/api/v1/query", params={"query": query})).json()
    assert answer["status"] == "success", answer
    result: list[Any] = answer["data"]["result"]
    return result


async def until(query: str, is_so: Callable[[list[Any]], bool], http: httpx2.AsyncClient) -> list[Any]:
    """Ask Prometheus until the answer is as it should be; return it."""
    with anyio.fail_after(60):
        while not is_so(found := await ask(query, http)):
            await anyio.sleep(0.05)
        return found


async def test_prometheus_stores_what_the_agent_counts(client: Client, example: Path) -> None:
    await report_pipeline(client)
    running = prometheus(example)
    address = await to_thread.run_sync(running.__enter__)
    try:
        async with httpx2.AsyncClient(base_url=address, timeout=20) as http:
            (written,) = await until(WRITTEN, bool, http)
            assert (written["metric"], written["value"][1]) == ({"messaging_destination_name": "orders"}, "3")
            (median,) = await until(MEDIAN, bool, http)
            assert 0.1 <= float(median["value"][1]) <= 0.5, "0.2 s are in the bucket from 0.1 to 0.5"
            (up,) = await until("up", bool, http)
            assert up["value"][1] == "1"
            names = (await http.get("/api/v1/rules")).json()["data"]["groups"][0]["rules"]
            assert {rule["name"] for rule in names} >= {"ConsumerGroupFallsBehind", "QueueThatNobodyReads"}
    finally:
        await to_thread.run_sync(running.__exit__, None, None, None)


async def test_promtool_finds_nothing_wrong_with_the_metrics(client: Client) -> None:
    await report_pipeline(client)
    text = (await client.get("/api/metrics")).text
    said = await to_thread.run_sync(lambda: run_promtool("check", "metrics", given=text))
    assert said == ""


def test_promtool_finds_nothing_wrong_with_the_example() -> None:
    run_promtool("check", "config", str(EXAMPLE / "prometheus.yml"))


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    assert "SUCCESS: 10 rules found" in run_promtool("check", "rules", "--lint-fatal", str(EXAMPLE / "rules.yml"))


def test_every_rule_of_the_example_has_a_test() -> None:
    rules = yaml.safe_load((EXAMPLE / "rules.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load(RULES_TEST.read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules}


def test_rules_of_the_example_fire_when_they_should(tmp_path: Path) -> None:
    copy(EXAMPLE / "rules.yml", tmp_path)
    copy(RULES_TEST, tmp_path)
    run_promtool("test", "rules", str(tmp_path / "prometheus_rules_test.yml"))


@pytest.mark.receivers
def test_rules_of_the_example_fire_in_victoriametrics(tmp_path: Path) -> None:
    copy(EXAMPLE / "rules.yml", tmp_path)
    copy(RULES_TEST, tmp_path)
    tool, files = find_built("vmalert-tool"), f"--files={tmp_path / RULES_TEST.name}"
    run_program(tool, "unittest", "--disableAlertgroupLabel", files, patience=600)
