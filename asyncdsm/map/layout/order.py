"""In which order the vertices of a layer are, so that few links cross.

Barycentre sweeps find it: each layer in turn is sorted by the mean place of each vertex's neighbors in the layer that
was sorted before, forward and backward through the layers, as long as that helps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from asyncdsm.map.layout.adjacency import Adjacency

Layers = list[list[int]]
"""The vertices of each layer in their order."""

MOST_SWEEPS = 24
MOST_SWEEPS_IN_VAIN = 3
# The search ends after this number of sweeps in a row that left as many crossings as before, or more.


def order_layers(graph: Adjacency, ranks: Sequence[int], part: Iterable[int]) -> Layers:
    """Return the vertices of `part` in layers; their links lead from each layer to the next one."""
    layers = best = _depth_first(graph, ranks, part)
    fewest, in_vain = count_crossings(graph, best), 0
    for sweep in range(MOST_SWEEPS):
        if not fewest or in_vain == MOST_SWEEPS_IN_VAIN:
            break
        layers = _sweep_forward(graph.before, layers) if sweep % 2 == 0 else _sweep_backward(graph.after, layers)
        crossings = count_crossings(graph, layers)
        in_vain += 1
        if crossings < fewest:
            best, fewest, in_vain = layers, crossings, 0
    return best


def _depth_first(graph: Adjacency, ranks: Sequence[int], part: Iterable[int]) -> Layers:
    """Return the layers in the order of a depth-first walk, in which vertices with a common source are together."""
    found: dict[int, list[int]] = {}
    met = set[int]()
    to_visit = sorted(part, key=lambda vertex: (-ranks[vertex], -vertex))
    while to_visit:
        vertex = to_visit.pop()
        if vertex not in met:
            met.add(vertex)
            found.setdefault(ranks[vertex], []).append(vertex)
            to_visit += reversed(graph.after[vertex])
    return [found[rank] for rank in sorted(found)]


def _sweep_forward(neighbors: list[list[int]], layers: Iterable[list[int]]) -> Layers:
    """Return the layers, each sorted by the mean place of `neighbors` in the layer before it."""
    places, swept = dict[int, float](), Layers()
    for layer in layers:
        means = {
            vertex: sum([places[other] for other in near]) / len(near) if (near := neighbors[vertex]) else place
            for place, vertex in enumerate(layer)
        }
        swept.append(sorted(layer, key=means.__getitem__))
        places = {vertex: place for place, vertex in enumerate(swept[-1])}
    return swept


def _sweep_backward(neighbors: list[list[int]], layers: Layers) -> Layers:
    return _sweep_forward(neighbors, reversed(layers))[::-1]


def count_crossings(graph: Adjacency, layers: Layers) -> int:
    """Return how many pairs of links cross."""
    return sum(_crossings_between(graph, layer, following) for layer, following in pairwise(layers))


def _crossings_between(graph: Adjacency, layer: list[int], following: list[int]) -> int:
    """Return how many pairs of links cross between two layers: those whose targets are in the opposite order."""
    places = {vertex: place for place, vertex in enumerate(following)}
    passed, crossings = list[int](), 0
    for vertex in layer:
        for target in sorted([places[target] for target in graph.after[vertex]]):
            place = bisect_right(passed, target)
            crossings += len(passed) - place
            passed.insert(place, target)
    return crossings
