"""The topology as a graph to draw: services and queues are its nodes, edges lead from one to the other."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal, NamedTuple

from asyncdsm.map.topology import Edge, PathwayPoint, Topology

MOST_LINKS = 2_000
"""How many links are drawn at most, the busiest ones: nobody could read a map of more."""


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
        """A short id of this node: letters and digits, the same in every run."""
        parts = self if self.cluster else self[:3]
        return self.kind[0] + blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=6).hexdigest()

    @property
    def label(self) -> str:
        """What to call it: its name, or the type of a queue without a name, such as that of HTTP."""
        return self.name or self.where or "?"


class Link(NamedTuple):
    """What leads from one node to another: an edge of the topology."""

    source: Node
    target: Node
    edge: Edge | None
    """None where a broker carries messages on by itself: from an exchange to a queue, or from SNS to SQS."""


class Graph(NamedTuple):
    """What is drawn, in order; `left_out` is the number of edges that are not drawn."""

    nodes: list[Node]
    links: list[Link]
    left_out: int
    entries: frozenset[Node] = frozenset()
    """Where pathways begin: services that start them, and queues that no service writes to."""


def build_graph(topology: Topology) -> Graph:
    """Return the graph of a topology."""
    edges = sorted(topology.edges, key=lambda edge: -edge.count)
    drawn = sorted((build_link(edge) for edge in edges[:MOST_LINKS]), key=link_key)
    nodes = {node for link in drawn for node in link[:2]}
    drawn += [link for link in _broker_links(topology) if nodes.issuperset(link[:2])]
    nodes |= {Node("service", service.name, service.env) for service in topology.services[:MOST_LINKS]}
    left_out = max(0, len(edges) - MOST_LINKS) + topology.cut.get("edges", 0)
    return Graph(sorted(nodes), drawn, left_out, _entries(topology))


def build_link(edge: Edge) -> Link:
    """Return the link of an edge: from a service to the queue that it writes to, or from a queue to its reader."""
    service = Node("service", edge.service, edge.env)
    queue = Node("queue", edge.queue, edge.type, edge.cluster or "")
    return Link(queue, service, edge) if edge.direction == "in" else Link(service, queue, edge)


def _entries(topology: Topology) -> frozenset[Node]:
    """Return the sources of the first hops, which are those without a parent.

    A queue that a service writes to is none: if some of its messages have no context, such as retried ones, it still
    is not where they come from.
    """
    first = frozenset(link.source for point, link in _hops(topology) if point.parent == "0")
    return first - {link.target for link in map(build_link, topology.edges) if link.target.kind == "queue"}


def _broker_links(topology: Topology) -> list[Link]:
    """Return the links between queues: messages were written to one and, as the pathways show, read from another."""
    points = _hops(topology)
    written_to = {point.hash: link.target for point, link in points if link.target.kind == "queue"}
    hops = [(written_to[point.parent], link.source) for point, link in points if point.parent in written_to]
    pairs = {(source, target) for source, target in hops if target.kind == "queue" and source != target}
    return [Link(source, target, None) for source, target in sorted(pairs)]


def _hops(topology: Topology) -> list[tuple[PathwayPoint, Link]]:
    """Return the points of the pathways, each with its link."""
    ends = {(edge.service, edge.env, *edge.tags): build_link(edge) for edge in topology.edges}
    found = [(point, ends.get((point.service, point.env, *point.tags))) for point in topology.pathways]
    return [(point, link) for point, link in found if link is not None]


def link_key(link: Link) -> tuple[Node, Node, str]:
    """Return what links are sorted by."""
    return link.source, link.target, link.edge.id if link.edge else ""
