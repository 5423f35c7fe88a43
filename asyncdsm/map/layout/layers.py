"""In which layer each node is, and the bends of links that pass other layers.

Links lead from lower layers to higher ones. A link over several layers has a bend in each layer between, which takes
part in the layout like a narrow node.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.map.layout.adjacency import Adjacency, Pair, adjacency_of

MOST_BENDS = 1_000
# With more, a layout takes too long. Then the longest links get no bends: they are drawn straight across the others.


def ranks_of(graph: Adjacency) -> list[int]:
    """Return the layer of each node of a graph without cycles, from 0 on.

    A node to which nothing leads is in layer 0. Any other is as near to the nodes before it as its links allow; if it
    has more links to nodes after it, then as near to those.
    """
    order = _topological_order(graph)
    ranks = [0] * len(order)
    for node in order:
        ranks[node] = max((ranks[source] + 1 for source in graph.before[node]), default=0)
    for node in reversed(order):
        if 0 < len(graph.before[node]) < len(graph.after[node]):
            ranks[node] = min(ranks[target] for target in graph.after[node]) - 1
    return ranks


def _topological_order(graph: Adjacency) -> list[int]:
    """Return the nodes, each after all nodes that lead to it."""
    missing = [len(sources) for sources in graph.before]
    ready = [node for node, sources in enumerate(graph.before) if not sources]
    order = list[int]()
    while ready:
        node = ready.pop()
        order.append(node)
        for target in graph.after[node]:
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    return order


class BentGraph(NamedTuple):
    """A graph whose links all lead from a layer to the next one. Its vertices are the nodes, then the bends."""

    graph: Adjacency
    ranks: list[int]
    """The layer of each vertex."""
    chains: list[list[int]]
    """The bends of each link, from the lower layer on."""


def bend_long_links(links: Sequence[Pair], ranks: Sequence[int]) -> BentGraph:
    """Return the graph with bends in its long links. Links lead from lower `ranks` to higher ones, or nowhere."""
    vertices, steps = list(ranks), list[Pair]()
    chains: list[list[int]] = [[] for _ in links]
    for index in sorted(range(len(links)), key=lambda index: _span(links[index], ranks)):
        source, target = links[index]
        between = range(ranks[source] + 1, ranks[target])
        if between and len(vertices) + len(between) > len(ranks) + MOST_BENDS:
            break
        chains[index] = list(range(len(vertices), len(vertices) + len(between)))
        vertices += between
        steps += pairwise((source, *chains[index], target))
    return BentGraph(adjacency_of(len(vertices), steps), vertices, chains)


def _span(link: Pair, ranks: Sequence[int]) -> int:
    return ranks[link[1]] - ranks[link[0]]
