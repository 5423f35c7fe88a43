"""What nodes are called: the same name in two clusters, environments or technologies is two nodes, told apart."""

from __future__ import annotations

import json
import re

import pytest
from msgspec.json import encode

from asyncdsm.agent.alerts.view import View
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.drawn_map import draw_map
from asyncdsm.agent.queries.node_graph import build_node_graph
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.cli.map import FORMATS
from asyncdsm.map.descriptions import NO_CLUSTER, NO_ENV, find_environments, qualify_nodes
from asyncdsm.map.graph import Node, build_graph
from asyncdsm.map.node_lookup import find_nodes, list_candidates
from asyncdsm.map.strings import cut_to_cells, plain_text
from asyncdsm.map.topology import Topology
from tests.agent.payloads import NOW, Client, bucket, payload, point

ONE, OTHER = "MkU3OEVBNTcwNTJENDM2Qk", "MkU3OXZZNTcwNTJENDM2Qk"


def passed(
    service: str,
    direction: str,
    queue: str,
    *,
    cluster: str = "",
    kind: str = "kafka",
    group: str = "",
    env: str = "",
    hashes: tuple[int, int] = (1, 0),
    behind: int | None = None,
) -> bytes:
    """Return a payload of one hop; `hashes` are that of the pathway after it, and its parent's."""
    tags = [f"direction:{direction}", f"type:{kind}", f"topic:{queue}"]
    in_cluster = [f"kafka_cluster_id:{cluster}"] if cluster else []
    tags += in_cluster + ([f"group:{group}"] if group else [])
    backlog = ["partition:0", f"topic:{queue}", *in_cluster]
    backlogs = (
        []
        if behind is None
        else [
            {"Tags": [*backlog, "type:kafka_produce"], "Value": behind - 1},
            {"Tags": [*backlog, "type:kafka_commit", f"consumer_group:{group}"], "Value": 0},
        ]
    )
    one = point(EdgeTags=tags, Hash=hashes[0], ParentHash=hashes[1])
    return payload(bucket(one, Backlogs=backlogs), Service=service, Env=env)


def store_of(*payloads: bytes) -> SQLiteStore:
    store = SQLiteStore(now=lambda: NOW)
    for body in payloads:
        store.add(read_report(body, ""))
    return store


def shown(*payloads: bytes) -> Topology:
    return topology(store_of(*payloads), 10)


def labels(topology: Topology, kind: str = "queue") -> set[str]:
    return {node.label for node in draw_map(topology, "right").nodes if node.kind == kind}


THREE = [
    passed("shop", "out", "events", cluster=ONE, hashes=(1, 0)),
    passed("shop", "out", "events", cluster=OTHER, hashes=(2, 0)),
    passed("shop", "out", "events", kind="rabbitmq", hashes=(3, 0)),
    passed("billing", "in", "events", cluster=ONE, group="g", hashes=(4, 1), behind=10),
    passed("billing", "in", "events", cluster=OTHER, group="g", hashes=(5, 2), behind=20),
    passed("billing", "in", "events", kind="rabbitmq", group="g", hashes=(6, 3)),
]


def test_same_name_in_two_clusters_and_another_type_is_three_nodes() -> None:
    map_ = shown(*THREE)
    assert {(queue.type, queue.cluster) for queue in map_.queues} == {
        ("kafka", ONE),
        ("kafka", OTHER),
        ("rabbitmq", None),
    }
    assert labels(map_) == {"events (kafka, MkU3OE…)", "events (kafka, MkU3OX…)", "events (rabbitmq)"}
    assert {(edge.cluster, edge.lag) for edge in map_.edges if edge.direction == "in"} == {
        (ONE, 10),
        (OTHER, 20),
        (None, None),  # a queue of RabbitMQ has no lag of Kafka, though its reader has that group's name
    }
    assert len([node for node in build_graph(map_).nodes if node.kind == "queue"]) == 3


@pytest.mark.parametrize("format_", ["text", "dot", "mermaid", "svg", "json"])
def test_every_format_tells_clusters_apart(format_: str) -> None:
    written = FORMATS[format_](shown(*THREE))
    for cluster in (ONE, OTHER):
        assert cluster[:6] in written
    assert "rabbitmq" in written


@pytest.mark.parametrize("format_", ["text", "dot", "mermaid", "svg", "json"])
def test_every_format_tells_environments_apart(format_: str) -> None:
    written = FORMATS[format_](shown(passed("shop", "out", "q", env="prod"), passed("shop", "out", "q", env="staging")))
    assert "prod" in written
    assert "staging" in written


def test_unambiguous_names_have_no_qualifier() -> None:
    map_ = shown(passed("shop", "out", "events", cluster=ONE, env="prod"))
    assert labels(map_) == {"events"}
    assert labels(map_, "service") == {"shop"}
    assert re.search(r"^shop +→ +events +\d", FORMATS["text"](map_), re.MULTILINE)


def test_qualifiers_are_the_parts_that_differ() -> None:
    nodes = [
        Node("service", "shop", "prod"),
        Node("service", "shop", ""),
        Node("service", "events", "prod"),
        Node("queue", "events", "kafka", "abcdefgh1"),
        Node("queue", "events", "kafka", "abcdefgh2"),
        Node("queue", "events", "kafka"),
        Node("queue", "events", "sqs"),
        Node("queue", "", "http"),
    ]
    assert list(qualify_nodes(nodes).values()) == [
        "prod",
        NO_ENV,
        "",
        "kafka, abcdefgh1",
        "kafka, abcdefgh2",
        f"kafka, {NO_CLUSTER}",
        "sqs",
        "",
    ]


def test_queues_of_two_environments_are_told_apart_by_these() -> None:
    map_ = shown(
        passed("shop", "out", "orders", cluster=ONE, env="dev"),
        passed("shop", "out", "orders", cluster=OTHER, env="prod"),
        passed("billing", "in", "orders", cluster=OTHER, env="prod", group="g"),
    )
    assert labels(map_) == {"orders (dev)", "orders (prod)"}
    for format_ in ("dot", "mermaid", "svg"):
        assert "orders (kafka, prod)" in FORMATS[format_](map_)
    assert {node.title for node in build_node_graph(map_).nodes if node.detail__where == "kafka"} == labels(map_)
    assert set(View.of(map_, "present", 0.0).names.values()) >= labels(map_)


def test_cluster_is_said_where_the_environment_does_not_suffice() -> None:
    map_ = shown(
        passed("shop", "out", "orders", cluster=ONE, env="prod"),
        passed("shop", "out", "orders", cluster=OTHER, env="prod"),
        passed("shop", "out", "orders", cluster="third-cluster", env="dev"),
        passed("shop", "out", "orders", cluster="shared-cluster", env="dev"),
        passed("shop", "out", "orders", cluster="shared-cluster", env="prod"),
        passed("shop", "out", "orders", cluster="without-env"),
    )
    assert labels(map_) == {
        "orders (prod, MkU3OE…)",
        "orders (prod, MkU3OX…)",
        "orders (dev)",
        "orders (shared…)",
        "orders (withou…)",
    }


def test_two_clusters_of_one_environment_are_told_apart_without_it() -> None:
    map_ = shown(*(passed("shop", "out", "orders", cluster=each, env="prod") for each in (ONE, OTHER)))
    assert labels(map_) == {"orders (MkU3OE…)", "orders (MkU3OX…)"}


def test_node_is_found_by_its_label_on_the_map() -> None:
    used = {"dev": ONE, "prod": OTHER}
    map_ = shown(*(passed("shop", "out", "orders", cluster=cluster, env=env) for env, cluster in used.items()))
    nodes, environments = build_graph(map_).nodes, find_environments(map_.edges)
    assert len(find_nodes(nodes, "orders", environments)) == 2
    for name in ("orders (dev)", "orders (kafka, dev)"):
        assert [node.cluster for node in find_nodes(nodes, name, environments)] == [ONE]
    assert "orders (kafka, dev) is q" in list_candidates(nodes, environments)


def test_node_ids_differ_by_cluster() -> None:
    nodes = [Node("queue", "events", "kafka", cluster) for cluster in ("", ONE, OTHER)]
    assert len({node.id for node in nodes}) == 3


def test_edge_without_cluster_id_gets_the_cluster_of_its_pathway() -> None:
    map_ = shown(
        passed("js", "out", "events", hashes=(1, 0)),
        passed("billing", "in", "events", cluster=ONE, group="g", hashes=(2, 1)),
        passed("other", "in", "events", cluster=OTHER, group="g", hashes=(4, 3)),
    )
    assert {edge.service: edge.cluster for edge in map_.edges} == {"js": ONE, "billing": ONE, "other": OTHER}


def test_edge_without_cluster_id_gets_the_only_cluster_of_its_environment() -> None:
    map_ = shown(
        passed("js", "out", "events", env="prod", hashes=(1, 0)),
        passed("billing", "in", "events", cluster=ONE, env="prod", hashes=(2, 7)),
        passed("billing", "in", "events", cluster=OTHER, env="staging", hashes=(3, 7)),
    )
    assert [edge.cluster for edge in map_.edges if edge.service == "js"] == [ONE]


def test_edge_that_leads_to_two_clusters_gets_none() -> None:
    map_ = shown(
        passed("js", "out", "events", hashes=(1, 0)),
        passed("a", "in", "events", cluster=ONE, group="g", hashes=(2, 1)),
        passed("b", "in", "events", cluster=OTHER, group="g", hashes=(3, 1)),
    )
    assert [edge.cluster for edge in map_.edges if edge.service == "js"] == [None]
    assert len([link for link in build_graph(map_).links if link.edge is None]) == 2  # carried on to both


async def test_pathways_and_lag_can_be_limited_to_one_cluster(client: Client) -> None:
    for body in THREE:
        await client.report(body)

    async def hops(**query: str) -> set[str | None]:
        answer = (await client.get("/api/pathways", params={"queue": "events", **query})).json()
        return {hop["cluster"] for pathway in answer["pathways"] for hop in pathway["hops"]}

    assert await hops(type="kafka") == {ONE, OTHER}
    assert await hops(type="kafka", cluster=ONE) == {ONE}
    assert await hops(type="kafka", cluster="") == set()
    assert await hops(type="rabbitmq") == {None}
    lag = (await client.get("/api/lag", params={"topic": "events", "cluster": OTHER})).json()["series"]
    assert [(each["cluster_id"], each["points"][-1]["behind"]) for each in lag] == [(OTHER, 20)]


HEBREW, ARABIC = "שירות הזמנות", "خدمة الطلبات"


@pytest.mark.parametrize("name", [HEBREW, ARABIC, f"orders-{HEBREW}"])
def test_right_to_left_name_is_isolated(name: str) -> None:
    assert plain_text(name) == f"\u2068{name}\u2069"
    for format_ in ("text", "dot", "svg"):
        assert f"\u2068{name[:8]}" in FORMATS[format_](shown(passed(name, "out", name)))


def test_isolation_is_closed_where_a_table_cuts_the_name() -> None:
    written = FORMATS["text"](shown(passed(HEBREW * 9, "out", HEBREW * 9, group=HEBREW * 9)))
    for line in written.splitlines():
        assert line.count("\u2068") == line.count("\u2069")


@pytest.mark.parametrize("control", ["\u202e", "\u202d", "\u2066", "\u2069", "\u200f", "\u061c", "\x1b", "\u2028"])
def test_control_characters_are_replaced(control: str) -> None:
    assert plain_text(f"a{control}b") == "a�b"
    for format_, write in FORMATS.items():
        written = write(shown(passed(f"a{control}b", "out", f"c{control}d", kind=f"e{control}f", env=f"g{control}h")))
        assert control not in written.replace("\u2069", "" if format_ == "json" else "\u2069")


@pytest.mark.parametrize(
    ("name", "expected"), [("", ""), ("  ", '"  "'), ("x" * 200, "x" * 200), ("x" * 201, "x" * 200 + "…")]
)
def test_empty_blank_and_long_names_are_made_readable(name: str, expected: str) -> None:
    assert plain_text(name) == expected


def test_wide_characters_take_two_cells() -> None:
    assert cut_to_cells("宽" * 9, 18) == "宽" * 9
    assert cut_to_cells("宽" * 10, 18) == "宽" * 8 + "…"
    assert cut_to_cells("x" * 19, 18) == "x" * 17 + "…"


def test_map_of_hostile_names_is_valid_json() -> None:
    map_ = shown(passed("\u202e<b>", "out", "\u202e</script>"))
    assert labels(map_, "service") == {"�<b>"}
    assert json.loads(encode(draw_map(map_, "right")))
