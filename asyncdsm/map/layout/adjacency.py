"""A directed graph of numbered nodes: which nodes lead to each node, and where it leads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

Pair = tuple[int, int]
"""The source and the target of a link."""


class Adjacency(NamedTuple):
    """The neighbors of each node, in ascending order; the lists are indexed by the node's number."""

    before: list[list[int]]
    after: list[list[int]]

    def pairs(self) -> Iterator[Pair]:
        """Yield the (source, target) pairs in ascending order."""
        return ((source, target) for source, targets in enumerate(self.after) for target in targets)


def adjacency_of(count: int, pairs: Iterable[Pair]) -> Adjacency:
    """Return the neighbors in a graph of the nodes 0 to `count` - 1.

    A pair that occurs twice counts once. A pair that leads from a node to itself is left out.
    """
    graph = Adjacency([[] for _ in range(count)], [[] for _ in range(count)])
    for source, target in sorted(set(pairs)):
        if source != target:
            graph.after[source].append(target)
            graph.before[target].append(source)
    return graph


def connected_parts(graph: Adjacency) -> list[list[int]]:
    """Return the sets of nodes that are linked to each other, each in ascending order, sorted by their first nodes."""
    parts, seen = list[list[int]](), set[int]()
    for first in range(len(graph.after)):
        if first not in seen:
            part, to_visit = {first}, [first]
            while to_visit:
                node = to_visit.pop()
                new = {*graph.before[node], *graph.after[node]} - part
                part |= new
                to_visit += new
            seen |= part
            parts.append(sorted(part))
    return parts
