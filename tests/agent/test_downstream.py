"""Who is downstream of a service or a queue, on the pathways that messages really took: the API and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from time import time
from typing import Any

import httpx2
import pytest

from asyncdsm.agent.queries import downstream
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.cli.main import main
from tests.agent.journeys import SHOP, Step, travel
from tests.agent.maps import MapStore
from tests.agent.payloads import NOW, Client, bucket, payload, point
from tests.agent.running import agent


async def related(client: Client, **query: str) -> dict[str, Any]:
    answer = await client.get("/api/downstream", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def distances(nodes: list[dict[str, Any]]) -> dict[str, int]:
    return {node["name"]: node["distance"] for node in nodes}


async def test_nodes_are_listed_with_their_distance(client: Client, store: SQLiteStore) -> None:
    travel(store, SHOP, [[0.0, 1, 1, 1, 1, 1]] * 10)
    found = await related(client, service="billing")
    assert [node["name"] for node in found["nodes"]] == ["billing"]
    assert distances(found["downstream"]) == {"invoices": 1, "shipping": 2, "parcels": 3, "mailing": 4}
    assert distances(found["upstream"]) == {"orders": 1, "shop": 2}
    assert {node["count"] for node in (*found["downstream"], *found["upstream"])} == {10}
    found = await related(client, queue="parcels")
    assert distances(found["downstream"]) == {"mailing": 1}
    assert list(distances(found["upstream"])) == ["shipping", "invoices", "billing", "orders", "shop"]


async def test_nodes_are_reached_only_on_pathways_that_messages_took(client: Client, store: SQLiteStore) -> None:
    """The graph leads from the experiment to the archive, but its messages are read by billing only."""
    travel(store, [Step("experiment", "out", "orders"), Step("billing", "in", "orders")], [[0.0, 1]] * 3)
    travel(
        store,
        [
            Step("shop", "out", "orders"),
            Step("billing", "in", "orders"),
            Step("billing", "out", "invoices"),
            Step("archive", "in", "invoices"),
        ],
        [[0.0, 1, 1, 1]] * 5,
    )
    assert distances((await related(client, service="experiment"))["downstream"]) == {"orders": 1, "billing": 2}
    reached = (await related(client, service="shop"))["downstream"]
    assert {node["name"]: node["count"] for node in reached} == {"orders": 5, "billing": 5, "invoices": 5, "archive": 5}
    assert distances((await related(client, queue="invoices"))["upstream"]) == {"billing": 1, "orders": 2, "shop": 3}


async def test_node_is_as_far_as_on_its_shortest_pathway(client: Client, store: SQLiteStore) -> None:
    ordered = travel(store, SHOP[:1], [[0.0]] * 4)
    travel(store, SHOP[1:4], [[1, 1, 1]] * 4, ordered)
    travel(store, [Step("shipping", "in", "orders")], [[1]] * 4, ordered)
    found = {node["name"]: node for node in (await related(client, service="shop"))["downstream"]}
    assert {name: node["distance"] for name, node in found.items()} == {
        "orders": 1,
        "billing": 2,
        "shipping": 2,
        "invoices": 3,
    }
    edges = {edge["id"]: edge for edge in (await client.topology())["edges"]}
    assert sorted(edges[id_]["queue"] for id_ in found["shipping"]["edges"]) == ["invoices", "orders"]
    assert found["shipping"]["count"] == 8


async def test_queue_that_the_broker_fills_is_between(client: Client, store: SQLiteStore) -> None:
    steps = [Step("shop", "out", "fanout", "rabbitmq"), Step("billing", "in", "orders", "rabbitmq")]
    travel(store, steps, [[0.0, 1]] * 10)
    expected = [("shop", {"fanout": 1, "orders": 2, "billing": 3}), ("fanout", {"orders": 1, "billing": 2})]
    for name, nodes in expected:
        query = {"service" if name == "shop" else "queue": name}
        assert distances((await related(client, **query))["downstream"]) == nodes
    assert distances((await related(client, queue="orders"))["upstream"]) == {"fanout": 1, "shop": 2}
    (queue, _) = (await related(client, queue="fanout"))["downstream"]
    assert (queue["name"], queue["edges"], queue["count"]) == ("orders", [], 10)


async def test_loop_ends_and_is_downstream_of_itself(client: Client, store: SQLiteStore) -> None:
    loop = [Step("billing", "in", "orders"), Step("billing", "out", "orders")]
    travel(store, [Step("shop", "out", "orders"), *loop * 20], [[0.0, *[1] * 40]] * 2)
    found = await related(client, service="billing")
    assert distances(found["downstream"]) == {"orders": 1, "billing": 2}
    assert distances(found["upstream"]) == {"orders": 1, "billing": 2, "shop": 2}


async def test_circle_of_hashes_ends(client: Client) -> None:
    around = [point(Hash=1, ParentHash=2), point(Hash=2, ParentHash=1), point(Hash=3, ParentHash=3)]
    assert (await client.report(payload(bucket(*around)))).status_code == 202
    found = await related(client, service="foreign")
    assert distances(found["downstream"]) == {"orders": 1}


async def test_nodes_of_one_name_are_told_apart_by_environment_and_type(client: Client, store: SQLiteStore) -> None:
    for env, queue, kind in (("prod", "orders", "kafka"), ("test", "tests", "kafka"), ("test", "orders", "rabbitmq")):
        travel(store, [Step("shop", "out", queue, kind, env)], [[0.0]])
    assert distances((await related(client, service="shop"))["downstream"]) == {"orders": 1, "tests": 1}
    assert len((await related(client, service="shop"))["downstream"]) == 3
    assert distances((await related(client, service="shop", env="prod"))["downstream"]) == {"orders": 1}
    for kind, env in (("kafka", "prod"), ("rabbitmq", "test")):
        assert [node["where"] for node in (await related(client, queue="orders", type=kind))["upstream"]] == [env]
    elsewhere = await client.get("/api/downstream", params={"queue": "orders", "cluster": "elsewhere"})
    assert elsewhere.status_code == 404


async def test_service_that_only_reports_has_nothing_downstream(client: Client) -> None:
    await client.report(payload(Service="silent"))
    found = await related(client, service="silent")
    assert (found["downstream"], found["upstream"]) == ([], [])


async def test_unknown_node_and_two_nodes_are_rejected(client: Client) -> None:
    for query, refusal in (
        ({"service": "nobody"}, (404, "service")),
        ({"queue": "nothing"}, (404, "queue")),
        ({}, (400, "service")),
        ({"service": "a", "queue": "b"}, (400, "service")),
    ):
        answer = await client.get("/api/downstream", params=query)
        assert (answer.status_code, answer.json()["error"]["path"]) == refusal


async def test_nodes_beyond_the_limit_are_left_out(
    client: Client, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    travel(store, SHOP, [[0.0, 1, 1, 1, 1, 1]])
    monkeypatch.setattr(downstream, "MOST_NODES", 2)
    found = await related(client, service="shop")
    assert (distances(found["downstream"]), found["cut"]) == ({"orders": 1, "billing": 2}, {"downstream": 4})


@pytest.fixture
def url() -> Iterator[str]:
    """Run an agent that knows the journey of orders, another shop of the same name, and an experiment."""
    store = SQLiteStore(now=lambda: NOW)
    travel(store, SHOP, [[0.0, 1, 1, 1, 1, 1]] * 1_200)
    travel(store, [Step("shop", "out", "tests", env="test")], [[0.0]])
    travel(store, [Step("experiment", "out", "orders"), Step("orders", "in", "orders")], [[0.0, 1]])
    with agent(store=store) as running:
        yield running.url


def run_map(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "asyncdsm", "map", "--url", url, *arguments]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


DOWNSTREAM = """\
downstream of service billing: 4 nodes
distance  kind     name      env or type  cluster  messages
────────────────────────────────────────────────────────────
       1  queue    invoices  kafka                    1,200
       2  service  shipping                           1,200
       3  queue    parcels   kafka                    1,200
       4  service  mailing                            1,200
"""


def test_downstream_is_printed_as_a_table(url: str) -> None:
    done = run_map(url, "--downstream", "billing")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", DOWNSTREAM)


def test_upstream_is_printed_as_json(url: str) -> None:
    done = run_map(url, "--upstream", "queue:orders", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert (answer["node"]["name"], answer["direction"]) == ("orders", "upstream")
    assert sorted(distances(answer["nodes"]).items()) == [("experiment", 1), ("shop", 1)]


def test_node_without_anything_downstream_is_no_error(url: str) -> None:
    done = run_map(url, "--downstream", "mailing")
    assert (done.returncode, done.stdout) == (0, "downstream of service mailing: 0 nodes\n")


def fail_map(capsys: pytest.CaptureFixture[str], url: str, *arguments: str) -> str:
    """Run the command in this process, and return its error, a line."""
    assert main(["map", "--url", url, *arguments]) == 1
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    return error


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody", "no service and no queue is named 'nobody' on the map of the last 10 minutes"),
        ("orders", "'orders' names 2 nodes, choose one by its id: queue orders (kafka) is q"),
        ("shop", "'shop' names 2 nodes, choose one with --env or by its id: service shop is s"),
    ],
)
def test_unknown_or_ambiguous_name_exits_with_1(
    url: str, name: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_map(capsys, url, "--downstream", name).startswith(f"asyncdsm map: {says}")


def test_ambiguous_name_can_be_chosen_by_the_id_of_the_error(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (*_, id_) = fail_map(capsys, url, "--downstream", "shop").split()
    assert main(["map", "--url", url, "--downstream", id_]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "downstream of service shop (test): 1 node"


@pytest.mark.parametrize("direction", ["--downstream", "--versions"])
def test_service_is_chosen_by_its_environment(url: str, direction: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--url", url, direction, "shop", "--env", "test"]) == 0
    assert "service shop (test)" in capsys.readouterr().out.splitlines()[0]
    assert "no service" in fail_map(capsys, url, direction, "shop", "--env", "none")
    assert "in env 'none'" in fail_map(capsys, url, direction, "shop", "--env", "none")


def test_environment_without_a_name_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--env", "prod"]) == 2
    assert capsys.readouterr().err == "asyncdsm map: --env needs --downstream, --upstream or --versions\n"


def test_queue_is_chosen_by_the_environment_of_its_services(capsys: pytest.CaptureFixture[str]) -> None:
    fill = MapStore(now=time)
    for env in ("dev", "prod"):
        fill.passed("shop", "out", "orders", tags=[f"kafka_cluster_id:{env}-cluster"], parent=0, env=env)
        fill.passed(f"billing-{env}", "in", "orders", tags=[f"kafka_cluster_id:{env}-cluster"], env=env, group="g")
    with agent(store=fill.store) as running:
        said = fail_map(capsys, running.url, "--downstream", "orders")
        assert "choose one with --env or by its id: queue orders (kafka, dev) is q" in said
        assert main(["map", "--url", running.url, "--downstream", "orders", "--env", "prod"]) == 0
        out = capsys.readouterr().out
        assert out.startswith("downstream of queue orders (kafka, prod): 1 node\n")
        assert "billing-prod" in out
        found = httpx2.get(f"{running.url}/api/downstream", params={"queue": "orders", "env": "dev"}).json()
        assert [each["name"] for each in found["downstream"]] == ["billing-dev"]
        unknown = httpx2.get(f"{running.url}/api/downstream", params={"queue": "orders", "env": "none"})
        assert unknown.status_code == 404


def test_other_formats_and_both_directions_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--downstream", "shop", "--format", "dot"]) == 2
    assert capsys.readouterr().err == "asyncdsm map: --downstream prints text or json, not dot\n"
    with pytest.raises(SystemExit, match="2"):
        main(["map", "--downstream", "shop", "--upstream", "shop"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_downstream_without_agent_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    said = fail_map(capsys, "http://127.0.0.1:1", "--downstream", "shop")
    assert said.startswith("asyncdsm map: the agent at http://127.0.0.1:1 does not answer")
