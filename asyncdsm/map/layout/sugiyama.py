"""A layered layout of a directed graph, by the method of Sugiyama. Each step has a module of its own.

1. `cycles`: links that close a cycle are reversed.
2. `layers`: each node gets a layer, and links lead from lower layers to higher ones. A link over several layers gets
   a bend in each layer between. Nodes and bends together are the vertices.
3. `order`: the vertices of each layer get an order, so that few links cross.
4. `positions`: each vertex gets its position across the flow.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from asyncdsm.map.layout.adjacency import Pair, adjacency_of, connected_parts
from asyncdsm.map.layout.cycles import links_against_flow
from asyncdsm.map.layout.layers import BentGraph, bend_long_links, ranks_of
from asyncdsm.map.layout.order import order_layers
from asyncdsm.map.layout.positions import Positions, find_positions, straighten_paths

BEND_WIDTH = 0.5
# How much room a bend gets, compared with a node: enough for a label above its link.

Place = tuple[int, float]
"""The layer, and the position across the flow. Both are counted from 0 on; a node is 1 wide."""


class Drawing(NamedTuple):
    """The places of the nodes by their numbers, and those of each link's bends by its index, from its source on."""

    nodes: list[Place]
    bends: list[list[Place]]


def draw_layered(count: int, links: Sequence[Pair], entries: Collection[int]) -> Drawing:
    """Return where to draw the nodes 0 to `count` - 1 and their links. `entries`: the nodes where pathways begin."""
    graph = adjacency_of(count, links)
    against = links_against_flow(graph, entries)
    flowing = [(target, source) if (source, target) in against else (source, target) for source, target in links]
    bent = bend_long_links(flowing, ranks_of(adjacency_of(count, flowing)))
    positions = _stack_parts(bent, [1.0] * count + [BEND_WIDTH] * (len(bent.ranks) - count))
    places = [(rank, positions[vertex]) for vertex, rank in enumerate(bent.ranks)]
    bends = [
        [places[bend] for bend in (reversed(chain) if link in against else chain)]
        for link, chain in zip(links, bent.chains, strict=True)
    ]
    return Drawing(places[:count], bends)


def _stack_parts(bent: BentGraph, widths: list[float]) -> Positions:
    """Return the position of each vertex. Parts of the graph that no link connects are one below the other."""
    positions, top = Positions(), 0.0
    for part in connected_parts(bent.graph):
        layers = order_layers(bent.graph, bent.ranks, part)
        found = find_positions(bent.graph, layers, widths)
        straighten_paths(bent.graph, layers, found, widths)
        shift = top - min(position - widths[vertex] / 2 for vertex, position in found.items())
        positions |= {vertex: round(position + shift, 3) for vertex, position in found.items()}
        top = max(positions[vertex] + widths[vertex] / 2 for vertex in part)
    return {vertex: position - 0.5 for vertex, position in positions.items()}
