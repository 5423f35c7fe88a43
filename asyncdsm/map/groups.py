"""Groups of services and queues, by environment or by cluster: which node is in which."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal, get_args

from asyncdsm.map.graph import Graph, Node

GroupedBy = Literal["env", "cluster"]
GROUPED_BY: tuple[GroupedBy, ...] = get_args(GroupedBy)
SHARED = "shared"
"""The key of the group of what belongs to several groups, or to none."""


def find_groups(graph: Graph, by: GroupedBy) -> dict[str, list[Node]]:
    """Return the nodes of each group by its key, in order.

    A service has its own environment, a queue its own cluster (or the type of its broker, if no cluster is known). The
    other kind of nodes belongs to the group of all that it is linked to, and to `SHARED` if these are several or none.
    """
    own = {node: _own_key(node, by) for node in graph.nodes}
    linked: defaultdict[Node, set[str]] = defaultdict(set)
    for source, target, _ in graph.links:
        linked[source].add(own[target])
        linked[target].add(own[source])
    groups: dict[str, list[Node]] = {}
    for node in graph.nodes:
        keys = {own[node]} if own[node] else linked[node] - {""}
        groups.setdefault(keys.pop() if len(keys) == 1 else SHARED, []).append(node)
    return dict(sorted(groups.items(), key=lambda each: (each[0] == SHARED, each[0])))


def _own_key(node: Node, by: GroupedBy) -> str:
    if by == "env":
        return f"env:{node.where}" if node.kind == "service" else ""
    return f"cluster:{node.cluster or node.where}" if node.kind == "queue" else ""
