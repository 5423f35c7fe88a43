"""The points of all pathways, joined to their parents: where messages were before and after each of them."""

from __future__ import annotations

from collections.abc import Sequence

from asyncdsm.agent.queries.answers import NodeName
from asyncdsm.agent.queries.kafka_clusters import clusters_of, queue_of, split_tags
from asyncdsm.agent.store.registry import EdgeKey, PointKey
from asyncdsm.map.graph import Node

MOST_HOPS = 200
"""How long a chain of points is at most."""


class PathwayGraph:
    """Points by index, as in `keys`. A message is at the point's source before it, and at its target after it."""

    def __init__(self, keys: Sequence[PointKey]) -> None:
        self.keys = keys
        self.clusters: dict[EdgeKey, str] = clusters_of(keys)
        ends = {edge: _ends_of(edge, cluster) for edge, cluster in self.clusters.items()}
        self.sources: list[Node] = [ends[key.edge][0] for key in keys]
        self.targets: list[Node] = [ends[key.edge][1] for key in keys]
        self.nodes: frozenset[Node] = frozenset(node for pair in ends.values() for node in pair)
        self.uses: frozenset[tuple[Node, str]] = frozenset(
            (node, edge.env) for edge, pair in ends.items() for node in pair if node.kind == "queue"
        )
        """Queues, and the environments of their services."""
        by_hash: dict[int, list[int]] = {}
        for index, key in enumerate(keys):
            by_hash.setdefault(key.hash, []).append(index)
        self.parents: list[list[int]] = [by_hash.get(key.parent, []) for key in keys]
        self.children: list[list[int]] = [[] for _ in keys]
        for index, parents in enumerate(self.parents):
            for parent in parents:
                self.children[parent].append(index)

    def chain_to(self, point: int) -> list[int]:
        """Return the points that messages passed up to a point, which is the last one.

        It ends early where a parent is not known, where the hashes form a circle, and after `MOST_HOPS`.
        """
        chain, seen = [point], {self.keys[point].hash}
        while len(chain) < MOST_HOPS:
            parents = self.parents[chain[-1]]
            if not parents or self.keys[parents[0]].hash in seen:
                break
            seen.add(self.keys[parents[0]].hash)
            chain.append(parents[0])
        return chain[::-1]


def _ends_of(edge: EdgeKey, cluster: str) -> tuple[Node, Node]:
    """Return the source and the target of an edge."""
    tags = split_tags(edge.tags)
    service = Node("service", edge.service, edge.env)
    queue = Node("queue", queue_of(tags), tags.get("type", ""), cluster)
    return (queue, service) if tags.get("direction") == "in" else (service, queue)


def name_node(node: Node) -> NodeName:
    """Return a node as answers name it."""
    return NodeName(id=node.id, kind=node.kind, name=node.name, where=node.where, cluster=node.cluster or None)
