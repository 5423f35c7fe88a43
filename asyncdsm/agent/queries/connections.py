"""How pathways lead from one node to another one.

A message is at a queue when it is sent to it, at a service when it is received; where a pathway begins, it is at its
first node then. Of a message that is at a node several times, as in a retry loop, the first time at one node counts,
and the first time at the other one after that.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncdsm.agent.queries.pathway_graph import PathwayGraph
from asyncdsm.map.graph import Node


class Connection(NamedTuple):
    """The points that messages pass from one node to another one, the last of which counts them."""

    points: list[int]
    before: list[int]
    """The points that they have passed by then."""


def find_connections(graph: PathwayGraph, start: Node, end: Node) -> list[Connection]:
    """Return how pathways lead from one node to another one."""
    arrivals = {index for index, target in enumerate(graph.targets) if target == end}
    # A queue that a broker fills from another one, such as an exchange, is reached when a message is sent to that.
    arrivals |= {
        parent for index, source in enumerate(graph.sources) if source == end for parent in graph.parents[index]
    }
    found = (_connect(graph, graph.chain_to(point), start, end) for point in sorted(arrivals))
    return [connection for connection in found if connection is not None]


def _connect(graph: PathwayGraph, chain: list[int], start: Node, end: Node) -> Connection | None:
    """Return the end of a chain from where it is first at `start`, unless it is at `end` in between."""
    places = [_nodes_before(graph, chain, place) for place in range(len(chain))]
    first = next((place for place, nodes in enumerate(places) if start in nodes), None)
    if first is None or any(end in nodes for nodes in places[first + 1 :]):
        return None
    return Connection(chain[first:], chain[:first])


def _nodes_before(graph: PathwayGraph, chain: list[int], place: int) -> set[Node]:
    """Return where messages are between a point of a chain and the one before."""
    return {graph.sources[chain[place]], *([graph.targets[chain[place - 1]]] if place else [])}
