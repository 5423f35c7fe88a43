"""What of a graph is drawn: the neighbors of a node, and what a filter finds or hides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from asyncdsm.map.graph import Graph, Node
from asyncdsm.map.groups import GroupedBy
from asyncdsm.map.importance import most_important

MOST_STEPS = 3


class MapFilter(NamedTuple):
    """What to draw of a graph. The default is everything."""

    focus: str = ""
    """The id of a node: only it and its neighbors are drawn. An id that no node has is ignored."""
    steps: int = 1
    """How many links away from the focus a neighbor is at most."""
    words: frozenset[str] = frozenset()
    """Of these at least one must occur in the name of a node, or of a direct neighbor. Lower case."""
    unwanted: frozenset[str] = frozenset()
    """A node with one of these in its name is hidden. Lower case."""
    hidden: frozenset[tuple[str, str]] = frozenset()
    """Which nodes are hidden: ("env", …), ("type", …), ("cluster", …)."""
    most: int = 0
    """If there are more nodes than this, only the most important ones are drawn. 0: no limit."""
    group: GroupedBy | None = None
    """By what nodes are drawn in groups."""
    fold: frozenset[str] = frozenset()
    """The keys of the groups whose nodes are not drawn."""


def select_nodes(graph: Graph, wanted: MapFilter) -> frozenset[Node]:
    """Return the nodes to draw. A node that only hidden ones are linked to is hidden too, unless a word finds it."""
    if wanted._replace(group=None, fold=frozenset()) == MapFilter():
        return frozenset(graph.nodes)
    neighbors = _neighbors(graph)
    allowed = {node for node in graph.nodes if not _is_hidden(node, wanted)}
    found = {node for node in allowed if any(word in node.label.lower() for word in wanted.words)}
    if wanted.words:
        allowed &= found.union(*(neighbors[node] for node in found))
    allowed = {node for node in allowed if node in found or not neighbors[node] or neighbors[node] & allowed}
    focus = next((node for node in graph.nodes if node.id == wanted.focus), None)
    chosen = frozenset(allowed) if focus is None else _within_reach(focus, wanted.steps, allowed, neighbors)
    return most_important(restrict_graph(graph, chosen), wanted.most) if 0 < wanted.most < len(chosen) else chosen


def restrict_graph(graph: Graph, nodes: frozenset[Node]) -> Graph:
    """Return the part of a graph that consists of some of its nodes and the links between them."""
    if len(nodes) == len(graph.nodes):
        return graph
    links = [link for link in graph.links if link.source in nodes and link.target in nodes]
    return graph._replace(nodes=[node for node in graph.nodes if node in nodes], links=links)


def _is_hidden(node: Node, wanted: MapFilter) -> bool:
    name = node.label.lower()
    traits = {("env", node.where)} if node.kind == "service" else {("type", node.where), ("cluster", node.cluster)}
    return bool(traits & wanted.hidden) or any(word in name for word in wanted.unwanted)


def _neighbors(graph: Graph) -> defaultdict[Node, set[Node]]:
    found: defaultdict[Node, set[Node]] = defaultdict(set)
    for source, target, _ in graph.links:
        found[source].add(target)
        found[target].add(source)
    return found


def _within_reach(
    focus: Node, steps: int, allowed: Iterable[Node], neighbors: defaultdict[Node, set[Node]]
) -> frozenset[Node]:
    """Return the focus, even if it is not allowed, and the allowed nodes that are at most `steps` links away."""
    found, last = {focus}, {focus}
    for _ in range(steps):
        last = set[Node]().union(*(neighbors[node] for node in last)).intersection(allowed) - found
        found |= last
    return frozenset(found)
