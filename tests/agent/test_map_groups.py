"""Groups on the map, by environment or by cluster: who is in which, and boxes that do not overlap."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec import convert

from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.map.graph import Graph, Node, build_graph
from asyncdsm.map.group_boxes import GroupBox, lay_out_groups
from asyncdsm.map.groups import GroupedBy, find_groups
from asyncdsm.map.layout import SIZES
from asyncdsm.map.topology import Topology
from tests.agent.maps import MapStore
from tests.agent.payloads import Client


def add_hops(store: SQLiteStore) -> None:
    maps = MapStore(store)
    for env in ("eu", "us"):
        maps.passed("shop", "out", "orders", env=env, parent=0)
        maps.passed("billing", "in", "orders", env=env, group="billing")
        maps.passed("billing", "out", f"mails-{env}", env=env, kind="rabbitmq")


async def graph_of(client: Client) -> Graph:
    return build_graph(convert((await client.get("/api/topology")).json(), Topology))


def names(nodes: list[Node]) -> set[str]:
    return {node.name for node in nodes}


async def test_queue_is_in_the_environment_of_its_services_or_shared(client: Client, store: SQLiteStore) -> None:
    add_hops(store)
    groups = find_groups(await graph_of(client), "env")
    assert {key: names(nodes) for key, nodes in groups.items()} == {
        "env:eu": {"shop", "billing", "mails-eu"},
        "env:us": {"shop", "billing", "mails-us"},
        "shared": {"orders"},
    }
    assert list(groups)[-1] == "shared"


async def test_service_is_in_the_cluster_of_its_queues_or_shared(client: Client, store: SQLiteStore) -> None:
    add_hops(store)
    groups = find_groups(await graph_of(client), "cluster")
    assert {key: names(nodes) for key, nodes in groups.items()} == {
        "cluster:kafka": {"orders", "shop"},
        "cluster:rabbitmq": {"mails-eu", "mails-us"},
        "shared": {"billing"},
    }


async def test_queue_is_where_most_of_its_links_lead(client: Client, store: SQLiteStore) -> None:
    add_hops(store)
    MapStore(store).passed("reports", "in", "orders", env="us", group="reports")
    groups = find_groups(await graph_of(client), "env")
    assert names(groups["env:us"]) == {"shop", "billing", "reports", "mails-us", "orders"}
    assert "shared" not in groups


def is_inside(node: Node, at: tuple[float, float], box: GroupBox) -> bool:
    width, height = SIZES[node.kind]
    return (
        box.x <= at[0] - width / 2
        and at[0] + width / 2 <= box.x + box.width
        and box.y <= at[1] - height / 2
        and at[1] + height / 2 <= box.y + box.height
    )


@pytest.mark.parametrize("flow", ["right", "down"])
@pytest.mark.parametrize("by", ["env", "cluster"])
async def test_each_node_is_in_the_box_of_its_group_alone(
    client: Client, store: SQLiteStore, by: GroupedBy, flow: str
) -> None:
    add_hops(store)
    graph = await graph_of(client)
    shown, layout, boxes = lay_out_groups(graph, flow, by)
    assert set(shown.nodes) == set(graph.nodes) == set(layout.nodes)
    assert len(layout.links) == len(layout.labels) == len(shown.links) == len(graph.links)
    for box in boxes:
        assert [node for node, at in layout.nodes.items() if is_inside(node, at, box)] == [
            node for node in layout.nodes if node in box.nodes
        ]
        assert box.x + box.width <= layout.width
        assert box.y + box.height <= layout.height
    for one, other in pairwise(boxes):
        assert one.y + one.height < other.y if flow == "right" else one.x + one.width < other.x


async def test_folded_group_has_a_title_and_no_nodes(client: Client, store: SQLiteStore) -> None:
    add_hops(store)
    drawn = (await client.get("/api/map", params={"group": "env", "fold": "env:us,env%3Anone"})).json()
    assert [(group["key"], group["folded"], group["services"], group["queues"]) for group in drawn["groups"]] == [
        ("env:eu", False, 2, 1),
        ("env:us", True, 2, 1),
        ("shared", False, 0, 1),
    ]
    assert {node["where"] for node in drawn["nodes"] if node["kind"] == "service" and node["shown"]} == {"eu"}
    assert drawn["groups"][1]["height"] < drawn["groups"][0]["height"]
    assert (await client.get("/api/map")).json()["groups"] == []


async def test_unknown_grouping_is_an_error_that_names_it(client: Client) -> None:
    answer = await client.get("/api/map", params={"group": "team"})
    assert (answer.status_code, answer.json()["error"]["path"]) == (400, "group")
    assert answer.json()["error"]["problem"] == "group must be one of env, cluster, got 'team'"
