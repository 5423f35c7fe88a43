"""Groups of services and queues, by environment or by cluster: which node is in which."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Literal, get_args

from asyncdsm.map.graph import Graph, Node

GroupedBy = Literal["env", "cluster"]
GROUPED_BY: tuple[GroupedBy, ...] = get_args(GroupedBy)
SHARED = "shared"
"""The key of the group of what belongs to several groups alike, or to none."""


def find_groups(graph: Graph, by: GroupedBy) -> dict[str, list[Node]]:
    """Return the nodes of each group by its key, in order.

    A service has its own environment, a queue its own cluster (or the type of its broker, if no cluster is known). The
    other kind of nodes is in the group to which most of its links lead, and in `SHARED` if these are several or none.
    """
    own = {node: _own_key(node, by) for node in graph.nodes}
    linked: defaultdict[Node, Counter[str]] = defaultdict(Counter)
    for source, target, _ in graph.links:
        linked[source][own[target]] += 1
        linked[target][own[source]] += 1
    groups: dict[str, list[Node]] = {}
    for node in graph.nodes:
        groups.setdefault(own[node] or _most_frequent(linked[node]), []).append(node)
    return dict(sorted(groups.items(), key=lambda each: (each[0] == SHARED, each[0])))


def _most_frequent(keys: Counter[str]) -> str:
    """Return the key that is there most often, `SHARED` if there is no such one. An empty key is none."""
    counts = Counter({key: count for key, count in keys.items() if key})
    (first, most), (_, second) = [*counts.most_common(2), (SHARED, 0), (SHARED, 0)][:2]
    return SHARED if most == second else first


def _own_key(node: Node, by: GroupedBy) -> str:
    if by == "env":
        return f"env:{node.where}" if node.kind == "service" else ""
    return f"cluster:{node.cluster or node.where}" if node.kind == "queue" else ""
