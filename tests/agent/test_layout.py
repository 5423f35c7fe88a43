"""The graph and its layout: every node and link has its place, cycles and hundreds of services included."""

from __future__ import annotations

import random
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from asyncdsm.agent.queries.topology import topology
from asyncdsm.map.graph import MOST_LINKS, Graph, Link, Node, build_graph
from asyncdsm.map.layout import FLOWS, curve_path, lay_out_graph
from asyncdsm.map.topology import Topology
from tests.agent.drawings import faults
from tests.agent.maps import MapStore, edge_with


def service(name: str) -> Node:
    return Node("service", name, "")


def queue(name: str) -> Node:
    return Node("queue", name, "kafka")


def graph(*links: tuple[Node, Node]) -> Graph:
    return Graph(sorted({node for link in links for node in link}), [Link(*link, None) for link in links], 0)


CHAIN = [service("a"), queue("b"), service("c"), queue("d"), service("e")]


def test_chain_is_laid_out_along_the_flow() -> None:
    chain = graph(*pairwise(CHAIN))
    right, down = (lay_out_graph(chain, flow) for flow in FLOWS)
    assert [right.nodes[node][0] for node in CHAIN] == sorted({x for x, _ in right.nodes.values()})
    assert len({y for _, y in right.nodes.values()}) == 1
    assert [down.nodes[node][1] for node in CHAIN] == sorted({y for _, y in down.nodes.values()})
    assert right.width > 4 * right.height
    assert down.height > 2 * down.width
    assert faults(chain, right) == faults(chain, down) == []


@pytest.mark.parametrize("flow", FLOWS)
def test_cycle_is_laid_out_without_faults(flow: str) -> None:
    cycle = graph(*zip(CHAIN[:4], [*CHAIN[1:4], CHAIN[0]], strict=True))
    layout = lay_out_graph(cycle, flow)
    assert faults(cycle, layout) == []
    assert len({points[0] for points in layout.links}) == len(cycle.links)


def test_links_there_and_back_are_drawn_next_to_each_other() -> None:
    both = graph((CHAIN[0], CHAIN[1]), (CHAIN[1], CHAIN[0]), (CHAIN[1], CHAIN[0]))
    layout = lay_out_graph(both)
    assert faults(both, layout) == []
    assert len({frozenset(points) for points in layout.links}) == 3


def test_graph_without_links_or_nodes_is_laid_out() -> None:
    alone = Graph([service("a"), service("b")], [], 0)
    assert faults(alone, lay_out_graph(alone)) == []
    assert lay_out_graph(Graph([], [], 0)).nodes == {}


@pytest.mark.parametrize("flow", FLOWS)
def test_two_hundred_services_are_laid_out_without_faults(flow: str) -> None:
    chance = random.Random(7)
    services, queues = [service(f"s{n}") for n in range(200)], [queue(f"q{n}") for n in range(200)]
    pairs = [(chance.choice(services), chance.choice(queues)) for _ in range(1_000)]
    large = graph(*((one, other) if chance.random() < 0.5 else (other, one) for one, other in pairs))
    assert faults(large, lay_out_graph(large, flow)) == []


def test_layout_of_an_equal_graph_is_cached() -> None:
    one, other = (graph((CHAIN[0], CHAIN[1])) for _ in range(2))
    assert lay_out_graph(one) is lay_out_graph(other)


def test_curve_path_is_valid_svg() -> None:
    assert curve_path([(0, 0), (10, 4)]) == "M0.0 0.0C5.0 0.0 5.0 4.0 10.0 4.0"
    ElementTree.fromstring(f'<path d="{curve_path([(0.123, 4), (5, 6), (7, 8)])}"/>')  # noqa: S314


def edges(shown: Topology) -> set[tuple[str, str, str]]:
    drawn = build_graph(shown)
    return {(link.source.label, link.target.label, "" if link.edge else "carried") for link in drawn.links}


def test_graph_has_a_link_per_edge() -> None:
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0)
    maps.passed("billing", "in", "orders", group="billing")
    assert edges(topology(maps.store, 10)) == {("shop", "orders", ""), ("orders", "billing", "")}


def test_graph_links_queues_between_which_a_broker_carries_messages() -> None:
    maps = MapStore()
    maps.passed("shop", "out", "fanout", kind="rabbitmq", parent=0)
    maps.passed("billing", "in", "invoices", kind="rabbitmq")
    assert ("fanout", "invoices", "carried") in edges(topology(maps.store, 10))


def test_queue_without_name_is_labelled_by_its_type() -> None:
    maps = MapStore()
    maps.passed("shop", "in", "", kind="http", parent=0)
    assert edges(topology(maps.store, 10)) == {("http", "shop", "")}


def test_only_the_busiest_links_are_drawn() -> None:
    busiest = [edge_with(f"{n}", service=f"s{n}", queue="q", count=n) for n in range(MOST_LINKS + 5)]
    shown = replace(topology(MapStore().store, 10), edges=busiest)
    drawn = build_graph(shown)
    assert (len(drawn.links), drawn.left_out) == (MOST_LINKS, 5)
    assert service("s4") not in drawn.nodes
    assert service("s5") in drawn.nodes


def test_entries_are_the_sources_of_points_without_parent() -> None:
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0)
    maps.passed("billing", "in", "orders", group="billing")
    maps.passed("mailing", "in", "mails", group="mailing", parent=0)
    assert build_graph(topology(maps.store, 10)).entries == {service("shop"), queue("mails")}


def test_queue_that_a_service_writes_to_is_no_entry_although_some_messages_have_no_context() -> None:
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0)
    maps.passed("billing", "in", "orders", group="billing")
    maps.passed("billing", "out", "retries")
    maps.passed("again", "in", "retries", parent=0)
    assert build_graph(topology(maps.store, 10)).entries == {service("shop")}
