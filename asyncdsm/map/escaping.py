"""What maps outside a browser say of nodes and links, in one line and with nothing in it that its reader obeys."""

from __future__ import annotations

from collections.abc import Iterable

from asyncdsm.map.graph import Link, Node
from asyncdsm.map.naming import cluster_names
from asyncdsm.map.naming import label_of as named
from asyncdsm.map.words import plain, present_text

LONGEST = 60


def about(nodes: Iterable[Node]) -> dict[Node, str]:
    """Return what there is to say of each node besides its name: environment or type, and cluster if in doubt."""
    return {
        node: ", ".join(filter(None, (node.where if node.name else "", cluster)))
        for node, cluster in cluster_names(nodes).items()
    }


def labels(nodes: Iterable[Node]) -> dict[Node, str]:
    """Return what to call each node, with all that there is to say of it."""
    return {node: named(node, what[:LONGEST], LONGEST) for node, what in about(nodes).items()}


def says(link: Link) -> str:
    """Return what a hop is like now: how long it takes, how often, since when, for which group, how far behind."""
    if link.edge is None:
        return ""
    parts = [present_text(link.edge.present)]
    if link.edge.group:
        parts.append(f"group {plain(link.edge.group, LONGEST)}")
    if link.edge.lag:
        parts.append(f"{link.edge.lag} behind")
    return ", ".join(part for part in parts if part)
