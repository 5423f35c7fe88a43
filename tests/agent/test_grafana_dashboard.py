"""The dashboard of `examples/deploy/grafana`: Grafana's schema knows all of it, and all its queries have answers.

Grafana itself is not run. Its schema is that of its foundation SDK, and a real Prometheus answers the queries.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import yaml  # type: ignore[import-untyped]
from anyio import to_thread
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from tests.agent.payloads import NOW_NS, SECOND_NS, Client, bucket, ours, passed, payload
from tests.agent.test_metrics import IN, ON, OUT
from tests.agent.test_prometheus import ask
from tests.brokers.prometheus import prometheus
from tests.brokers.receivers import scraping_victoriametrics

FOLDER = Path(__file__).parents[2] / "examples" / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
CONFIGURATION = """
global: {{scrape_interval: 500ms}}
scrape_configs:
  - job_name: asyncdsm
    metrics_path: /api/metrics
    static_configs: [{{targets: ["{target}"]}}]
"""


def list_queries() -> Iterator[tuple[str, str]]:
    """Yield the panel and the PromQL of each query, as Grafana would send it with all variables at "All"."""
    names = [each["name"] for each in DASHBOARD["templating"]["list"]]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", "20s")
            for name in names:
                query = re.sub(rf"\${name}\b", ".*", query)
            assert "$" not in query.replace('"$1"', ""), query
            yield f"{panel['type']} {panel['title']} {target['refId']}", query


def find_differences(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Yield where `kept` has not what was given."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from find_differences(value, kept.get(name), f"{path}/{name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, pair in enumerate(zip(given, kept, strict=True)):
            yield from find_differences(*pair, f"{path}/{number}")
    elif given != kept:
        yield f"{path}: {given!r} became {kept!r}"


def test_schema_of_grafana_knows_every_field() -> None:
    register_default_plugins()
    kept = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
    assert list(find_differences(DASHBOARD, kept)) == []
    wrong = {**DASHBOARD, "panelz": []}
    assert list(find_differences(wrong, kept)) == ["/panelz: [] became None"]


def test_units_are_those_of_grafana() -> None:
    known = {value for value in vars(units).values() if isinstance(value, str)}
    used = set(re.findall(r'"unit": "(\w+)"', (FOLDER / "dashboard.json").read_text()))
    assert used == {"mps", "s", "short"}
    assert used <= known


def test_queries_of_queues_tell_environments_apart() -> None:
    for name, query in list_queries():
        keys = re.findall(r"sum by \(([^)]*messaging_destination_name[^)]*)\) \(rate", query)
        assert all("deployment_environment_name" in each for each in keys), (name, query)


def test_every_panel_asks_the_chosen_prometheus_and_none_covers_another() -> None:
    taken = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        assert panel.get("datasource", {}).get("uid", "${datasource}") == "${datasource}"
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_provisioning_names_the_data_source_and_the_folder() -> None:
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["isDefault"]) == (DASHBOARD["templating"]["list"][0]["query"], True)
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/asyncdsm.yml").read_text())["providers"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/var/lib/grafana/dashboards")


async def report_traffic(client: Client, number: int) -> None:
    """Report messages from shop over billing to an exchange, some that nobody reads, and a lag."""
    hashes = dict[str, int]()

    def shop(aggregator: Aggregator) -> None:
        hashes["shop"] = passed(aggregator, OUT, [0] * (3 + number), size=100)
        passed(aggregator, Edge("direction:out", "topic:dead", "type:kafka"), [0] * (1 + number))

    def billing(aggregator: Aggregator) -> None:
        hashes["billing"] = passed(aggregator, IN, [0.2] * (2 + number), parent=hashes["shop"])
        passed(aggregator, ON, [2.0] * (1 + number), parent=hashes["billing"])

    for body in [*ours(shop, "shop", "prod"), *ours(billing, "billing", "prod")]:
        assert (await client.report(body, gzipped=True)).status_code == 202


async def report_lag(client: Client) -> None:
    for ago, produced in ((40, 9), (30, 19)):
        backlogs = [
            {"Tags": ["type:kafka_produce", "topic:orders", "partition:0"], "Value": produced},
            {"Tags": ["type:kafka_commit", "consumer_group:billing", "topic:orders", "partition:0"], "Value": 10},
        ]
        body = payload(bucket(Start=NOW_NS - ago * SECOND_NS, Backlogs=backlogs))
        assert (await client.report(body)).status_code == 202


@pytest.fixture
def configuration(client: Client, tmp_path: Path) -> Path:
    path = tmp_path / "prometheus.yml"
    path.write_text(CONFIGURATION.format(target=f"{client.base_url.host}:{client.base_url.port}"))
    return path


@pytest.fixture(params=[prometheus, pytest.param(scraping_victoriametrics, marks=pytest.mark.receivers)])
async def scraping(request: pytest.FixtureRequest, configuration: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Run a Prometheus, or a VictoriaMetrics, that scrapes the test's agent; give a client of it."""
    running = request.param(configuration)
    address = await to_thread.run_sync(running.__enter__)
    try:
        async with httpx2.AsyncClient(base_url=address, timeout=20) as http:
            yield http
    finally:
        await to_thread.run_sync(running.__exit__, None, None, None)


async def test_every_query_has_an_answer(client: Client, scraping: httpx2.AsyncClient) -> None:
    await report_lag(client)
    waiting, answers = dict(list_queries()), dict[str, list[Any]]()
    assert len(waiting) == 24
    with anyio.fail_after(90):
        for number in range(10_000):
            await report_traffic(client, number % 50)
            for name, query in list(waiting.items()):
                found = await ask(query, scraping)
                if found and all(isfinite(float(each["value"][1])) for each in found):
                    answers[name] = found
                    del waiting[name]
            if not waiting:
                break
            await anyio.sleep(0.3)
    (unread,) = answers["table Queues that nobody reads A"]
    assert unread["metric"] == {
        "deployment_environment_name": "prod",
        "messaging_system": "kafka",
        "messaging_destination_name": "dead",
    }
    (edge,) = answers["nodeGraph Which service sends to which A"]
    assert edge["metric"] == {
        "client": "shop",
        "server": "billing",
        "id": "shop → billing",
        "source": "shop",
        "target": "billing",
    }
