"""What to call the nodes of a map: by their names, and by what tells those of one name apart."""

from __future__ import annotations

from collections.abc import Iterable

from asyncdsm.map.graph import Node
from asyncdsm.map.words import plain

SHORTEST_ID = 6
"""Characters of a cluster's id that are shown at least."""
NO_ENV, NO_CLUSTER = "no env", "no cluster id"


def qualifiers(nodes: Iterable[Node]) -> dict[Node, str]:
    """Return what tells a node from others of its kind and name; empty where there is no other.

    That is a service's environment, or a queue's type, its cluster, or both.
    """
    by_name: dict[tuple[str, str], list[Node]] = {}
    listed = list(dict.fromkeys(nodes))
    for node in listed:
        by_name.setdefault((node.kind, node.label), []).append(node)
    return {node: _qualifier(node, by_name[node.kind, node.label]) for node in listed}


def cluster_names(nodes: Iterable[Node]) -> dict[Node, str]:
    """Return the cluster of each queue that there is in several clusters, as short as they differ; empty for others."""
    by_queue: dict[tuple[str, str, str], list[Node]] = {}
    listed = list(dict.fromkeys(nodes))
    for node in listed:
        by_queue.setdefault((node.kind, node.where, node.name), []).append(node)
    return {node: _cluster(node, by_queue[node.kind, node.where, node.name]) for node in listed}


def _qualifier(node: Node, alike: list[Node]) -> str:
    if len(alike) == 1:
        return ""
    if node.kind == "service":
        return node.where or NO_ENV
    where = node.where if len({other.where for other in alike}) > 1 else ""
    return ", ".join(filter(None, (where, _cluster(node, [other for other in alike if other.where == node.where]))))


def _cluster(node: Node, alike: list[Node]) -> str:
    if len(alike) == 1:
        return ""
    others = [other.cluster for other in alike if other is not node]
    length = SHORTEST_ID
    while length < len(node.cluster) and any(other.startswith(node.cluster[:length]) for other in others):
        length += 1
    shown = node.cluster[:length] + ("…" if length < len(node.cluster) else "")
    return shown or NO_CLUSTER


def label_of(node: Node, qualifier: str, longest: int = 200) -> str:
    """Return what to call a node, its name cut to `longest` characters, with what tells it from others."""
    return plain(node.label, longest) + (f" ({plain(qualifier)})" if qualifier else "")
