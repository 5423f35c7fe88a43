"""The map as Grafana's panel "Node graph" takes it, from its data sources "Node Graph API" and "Infinity"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from msgspec.inspect import FloatType, StructType, type_info

from asyncdsm.agent.queries.answers import GraphEdge, GraphField, GraphFields, GraphNode, NodeGraph
from asyncdsm.map.descriptions import describe_lag, find_environments, label_node, qualify_nodes
from asyncdsm.map.graph import Graph, Link, Node, build_graph
from asyncdsm.map.levels import stroke_width
from asyncdsm.map.strings import format_duration, plain_text
from asyncdsm.map.topology import Topology

ARCS = {
    "arc__service": ("Service", "#5794f2"),
    "arc__queue": ("Queue", "#73bf69"),
    "arc__unread": ("Queue that nobody reads", "#f2495c"),
}
"""What colors the ring around a node: what it is, and the color."""
NAMES = {
    "detail__where": "Environment or type",
    "detail__cluster": "Cluster",
    "detail__p50": "Median",
    "detail__p99": "99th percentile",
    "detail__group": "Consumer group",
    "detail__lag": "Lag",
}


@dataclass
class _Rates:
    """Messages per second that come into a node, and that go out of it."""

    incoming: float = 0.0
    outgoing: float = 0.0


def build_node_graph(topology: Topology) -> NodeGraph:
    """Return the services and the queues of a topology as nodes, and its hops as edges."""
    graph = build_graph(topology)
    unread = {Node("queue", queue.name, queue.type, queue.cluster or "") for queue in topology.queues if queue.unread}
    return NodeGraph(
        nodes=list(_nodes(graph, unread)),
        edges=[_edge(number, link) for number, link in enumerate(graph.links)],
        left_out=graph.left_out,
    )


def list_graph_fields() -> GraphFields:
    """Return which fields `build_node_graph` gives nodes and edges."""
    return GraphFields(nodes_fields=list(_fields(GraphNode)), edges_fields=list(_fields(GraphEdge)))


def _nodes(graph: Graph, unread: set[Node]) -> Iterator[GraphNode]:
    rates = _rates(graph.links)
    environments = find_environments(link.edge for link in graph.links if link.edge)
    for node, qualifier in qualify_nodes(graph.nodes, environments).items():
        of_node = rates.get(node, _Rates())
        yield GraphNode(
            id=node.id,
            title=label_node(node, qualifier),
            sub_title=node.kind,
            main_stat=f"{of_node.incoming:.3g}/s in",
            secondary_stat=f"{of_node.outgoing:.3g}/s out",
            arc__service=float(node.kind == "service"),
            arc__queue=float(node.kind == "queue" and node not in unread),
            arc__unread=float(node in unread),
            detail__where=plain_text(node.where),
            detail__cluster=plain_text(node.cluster),
        )


def _rates(links: Iterable[Link]) -> dict[Node, _Rates]:
    rates: dict[Node, _Rates] = {}
    for source, target, edge in links:
        if edge is not None:
            rates.setdefault(source, _Rates()).outgoing += edge.rate
            rates.setdefault(target, _Rates()).incoming += edge.rate
    return rates


def _edge(number: int, link: Link) -> GraphEdge:
    edge = link.edge
    if edge is None:
        return GraphEdge(id=f"broker-{number}", source=link.source.id, target=link.target.id, thickness=1.0)
    median, tail = (format_duration(each) for each in (edge.edge_latency.p50, edge.edge_latency.p99))
    return GraphEdge(
        id=edge.id,
        source=link.source.id,
        target=link.target.id,
        main_stat=median,
        secondary_stat=f"{edge.rate:.3g}/s",
        thickness=round(stroke_width(edge.rate), 1),
        detail__p50=median,
        detail__p99=tail,
        detail__group=plain_text(edge.group or ""),
        detail__lag=describe_lag(edge) if edge.lag else "",
    )


def _fields(answer: type[GraphNode | GraphEdge]) -> Iterator[GraphField]:
    described = type_info(answer)
    assert isinstance(described, StructType)  # noqa: S101  # for type checkers
    for field in described.fields:
        name, color = ARCS.get(field.encode_name, (NAMES.get(field.encode_name), None))
        yield GraphField(
            field_name=field.encode_name,
            type="number" if isinstance(field.type, FloatType) else "string",
            display_name=name,
            color=color,
        )
