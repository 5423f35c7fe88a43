"""The topology as a graph to draw: services and queues are its nodes, edges lead from one to the other."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, NamedTuple

from asyncdsm.map.topology import Edge, PathwayPoint, Topology

MOST_LINKS = 2_000
"""Beyond so many nobody sees anything any more: the busiest are drawn."""


class Node(NamedTuple):
    """A service in an environment, or a queue of a type in a cluster."""

    kind: Literal["service", "queue"]
    name: str
    where: str
    """The service's environment, the queue's type."""
    cluster: str = ""
    """The id of the queue's cluster, if it is known."""

    @property
    def id(self) -> str:
        """A short name for this node that is safe everywhere, and the same in every run."""
        parts = self if self.cluster else self[:3]
        return self.kind[0] + blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=6).hexdigest()

    @property
    def label(self) -> str:
        """What to call it: where a queue has no name, as that of HTTP, its type."""
        return self.name or self.where or "?"


class Link(NamedTuple):
    """What leads from one node to another: an edge of the topology."""

    source: Node
    target: Node
    edge: Edge | None
    """None where a broker carries messages on by itself: from an exchange to a queue, from SNS to SQS."""


class Graph(NamedTuple):
    """What is drawn; `left_out` says how many edges are not, for want of room."""

    nodes: list[Node]
    links: list[Link]
    left_out: int
    entries: frozenset[Node] = frozenset()
    """Where pathways begin: services that send messages of their own accord, queues whose messages have no context."""


def graph_of(topology: Topology) -> Graph:
    """Return the graph of a topology, its nodes and links in an order of their own."""
    edges = sorted(topology.edges, key=lambda edge: -edge.count)
    drawn = sorted((link_of(edge) for edge in edges[:MOST_LINKS]), key=_order)
    nodes = {node for link in drawn for node in link[:2]}
    drawn += [link for link in _carried(topology) if nodes.issuperset(link[:2])]
    nodes |= {Node("service", service.name, service.env) for service in topology.services[:MOST_LINKS]}
    left_out = max(0, len(edges) - MOST_LINKS) + topology.cut.get("edges", 0)
    return Graph(sorted(nodes), drawn, left_out, _entries(topology))


def link_of(edge: Edge) -> Link:
    """Return the two ends of an edge: a service writes to a queue, or reads from one."""
    service = Node("service", edge.service, edge.env)
    queue = Node("queue", edge.queue, edge.type, edge.cluster or "")
    return Link(queue, service, edge) if edge.direction == "in" else Link(service, queue, edge)


def _entries(topology: Topology) -> frozenset[Node]:
    """Return the sources of the first hops: those of the checkpoints that have no parent."""
    return frozenset(link.source for point, link in _hops(topology) if point.parent == "0")


def _carried(topology: Topology) -> list[Link]:
    """Return where what was written to one queue is read from another, as the pathways say."""
    points = _hops(topology)
    written = {point.hash: link.target for point, link in points if link.target.kind == "queue"}
    read = [(written[point.parent], link.source) for point, link in points if point.parent in written]
    carried = {(source, target) for source, target in read if target.kind == "queue" and source != target}
    return [Link(source, target, None) for source, target in sorted(carried)]


def _hops(topology: Topology) -> list[tuple[PathwayPoint, Link]]:
    """Return the checkpoints of the pathways, each with the link that it counts."""
    ends = {(edge.service, edge.env, *edge.tags): link_of(edge) for edge in topology.edges}
    found = [(point, ends.get((point.service, point.env, *point.tags))) for point in topology.pathways]
    return [(point, link) for point, link in found if link is not None]


def _order(link: Link) -> tuple[Node, Node, str]:
    return link.source, link.target, link.edge.id if link.edge else ""
