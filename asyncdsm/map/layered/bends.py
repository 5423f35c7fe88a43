"""A link over several layers has a bend in each layer between, which takes part in the layout as a narrow node does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.map.layered.adjacency import Adjacency, Pair, adjacency_of

MOST_BENDS = 1_000
# With more, a layout takes too long. Then the longest links get no bends: they are drawn straight across the others.


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
