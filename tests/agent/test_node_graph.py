"""`/api/graph/…`: the map in the form that Grafana documents for its panel and its data source "Node Graph API"."""

from __future__ import annotations

from typing import Any

import pytest

from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from tests.agent.payloads import MINUTE_NS, NOW_NS, Client, ours, passed
from tests.agent.test_metrics import report_pipeline

NODE_FIELDS = {"id", "title", "subtitle", "mainstat", "secondarystat", "color", "icon", "noderadius", "highlighted"}
EDGE_FIELDS = {"id", "source", "target", "mainstat", "secondarystat", "color", "thickness", "highlighted"}
"""The names that Grafana's manual gives for nodes and edges, in lower case, as the panel compares them."""
REQUIRED = {"nodes": {"id"}, "edges": {"id", "source", "target"}}


async def read_graph(client: Client, **parameters: Any) -> dict[str, Any]:
    answer = await client.get("/api/graph/data", params=parameters)
    assert answer.status_code == 200, answer.text
    graph: dict[str, Any] = answer.json()
    return graph


async def test_nodes_and_edges_are_the_services_queues_and_hops(client: Client) -> None:
    await report_pipeline(client)
    graph = await read_graph(client, minutes=5)
    titles = {node["id"]: node["title"] for node in graph["nodes"]}
    assert sorted(titles.values()) == ["billing", "invoices", "orders", "shop"]
    hops = {(titles[edge["source"]], titles[edge["target"]]): edge for edge in graph["edges"]}
    assert set(hops) == {("shop", "orders"), ("orders", "billing"), ("billing", "invoices")}
    read = hops["orders", "billing"]
    assert (read["mainStat"], read["detail__p99"], read["detail__group"]) == ("199 ms", "199 ms", "billing")
    assert hops["billing", "invoices"]["mainStat"] == "2.01 s"
    assert hops["shop", "orders"]["mainStat"] == "", "there is nothing to measure from where a pathway begins"
    assert graph["left_out"] == 0


async def test_rates_are_those_of_the_topology(client: Client) -> None:
    await report_pipeline(client)
    topology, graph = await client.topology(), await read_graph(client)
    rates = {edge["id"]: f"{edge['rate']:.3g}/s" for edge in topology["edges"]}
    assert {edge["id"]: edge["secondaryStat"] for edge in graph["edges"]} == rates
    (orders,) = [node for node in graph["nodes"] if node["title"] == "orders"]
    of_queue = {edge["direction"]: f"{edge['rate']:.3g}/s" for edge in topology["edges"] if edge["queue"] == "orders"}
    assert (orders["mainStat"], orders["secondaryStat"]) == (f"{of_queue['out']} in", f"{of_queue['in']} out")


async def test_ring_tells_services_queues_and_unread_queues(client: Client) -> None:
    def write(aggregator: Aggregator) -> None:
        passed(aggregator, Edge("direction:out", "topic:dead", "type:kafka"), [0])

    for body in ours(write, "shop", at_ns=NOW_NS - 3 * MINUTE_NS):
        assert (await client.report(body, gzipped=True)).status_code == 202
    await report_pipeline(client)
    nodes = (await read_graph(client))["nodes"]
    arcs = {
        node["title"]: [name for name, share in node.items() if name.startswith("arc__") and share] for node in nodes
    }
    assert arcs == {
        "billing": ["arc__service"],
        "shop": ["arc__service"],
        "orders": ["arc__queue"],
        "invoices": ["arc__queue"],
        "dead": ["arc__unread"],
    }
    for node in nodes:
        assert sum(share for name, share in node.items() if name.startswith("arc__")) == 1


@pytest.mark.parametrize(("kind", "documented"), [("nodes", NODE_FIELDS), ("edges", EDGE_FIELDS)])
async def test_fields_are_those_that_grafana_documents(client: Client, kind: str, documented: set[str]) -> None:
    await report_pipeline(client)
    graph, answer = await read_graph(client), await client.get("/api/graph/fields")
    fields = {field["field_name"]: field for field in answer.json()[f"{kind}_fields"]}
    assert REQUIRED[kind] <= set(fields)
    assert {
        name for name in fields if name.lower() not in documented and not name.startswith(("arc__", "detail__"))
    } == set()
    types = {"string": str, "number": float}
    for each in graph[kind]:
        assert set(each) == set(fields)
        assert {name for name, value in each.items() if type(value) is not types[fields[name]["type"]]} == set()
    assert all(field.get("color", "").startswith("#") for name, field in fields.items() if name.startswith("arc__"))


async def test_wrong_time_range_is_refused(client: Client) -> None:
    answer = await client.get("/api/graph/data", params={"minutes": "ten"})
    assert (answer.status_code, answer.json()["error"]["path"]) == (400, "minutes")
