"""Finds the node that a person or a program names, and says which nodes a name could mean."""

from __future__ import annotations

from collections.abc import Iterable

from asyncdsm.map.descriptions import NO_ENVIRONMENTS, Environments, label_node, label_nodes, qualify_nodes
from asyncdsm.map.graph import Node, build_link
from asyncdsm.map.strings import plain_text
from asyncdsm.map.topology import Edge

MOST_CANDIDATES = 5
"""How many nodes `list_candidates` names."""
LONGEST_SHOWN = 60


def find_nodes(nodes: Iterable[Node], name: str, environments: Environments = NO_ENVIRONMENTS) -> list[Node]:
    """Return the nodes that a name means: several if it is ambiguous, none if it is unknown.

    A node is named by its id, by its name, by its name after `service:` or `queue:`, or by its label on the map, such
    as `shop (prod)` or `orders (kafka, prod)`. The first of these that names any node counts.
    """
    listed = sorted(set(nodes))
    labels, qualifiers = label_nodes(listed, environments), qualify_nodes(listed, environments)
    kind, _, rest = name.partition(":")
    meanings = (
        [node for node in listed if node.id == name],
        [node for node in listed if node.label == name],
        [node for node in listed if (node.kind, node.label) == (kind, rest)],
        [node for node in listed if name in {labels[node], label_node(node, qualifiers[node])}],
    )
    return next(filter(None, meanings), [])


def keep_environment(nodes: Iterable[Node], edges: Iterable[Edge], env: str) -> list[Node]:
    """Return the services of an environment, and the queues at which there is any."""
    at_queues = {node for edge in edges if edge.env == env for node in build_link(edge)[:2]}
    return [node for node in nodes if node in at_queues or (node.kind == "service" and node.where == env)]


def list_candidates(nodes: Iterable[Node], environments: Environments = NO_ENVIRONMENTS) -> str:
    """Return nodes with their ids, as in `queue orders (kafka) is q0123456789ab, service orders is s0123456789ab`."""
    listed = sorted(set(nodes))
    labels = label_nodes(listed, environments)
    shown = [f"{node.kind} {labels[node]} is {node.id}" for node in listed[:MOST_CANDIDATES]]
    more = len(listed) - MOST_CANDIDATES
    return ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])])


def shorten_name(name: str) -> str:
    """Return a name as an error may show it: printable, quoted, and not too long."""
    return f"'{plain_text(name, LONGEST_SHOWN)}'"
