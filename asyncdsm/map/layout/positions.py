"""Where across the flow each vertex is: near its neighbors, in the order of its layer, at a distance from the next.

Vertices that are linked one to one get the same position where there is room, so that long links become straight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from math import inf
from operator import add

from asyncdsm.map.layout.adjacency import Adjacency
from asyncdsm.map.layout.order import Layers

Positions = dict[int, float]
Neighbors = list[list[int]] | dict[int, list[int]]

SWEEPS = 3
# How often all layers are moved to the layers before them, then to those after them; and at last to both.


def find_positions(graph: Adjacency, layers: Layers, widths: Sequence[float]) -> Positions:
    """Return the position of each vertex's middle. Two of one layer never overlap: `widths` gives the room of each."""
    offsets = [_offsets([widths[vertex] for vertex in layer]) for layer in layers]
    rows = list(zip(layers, offsets, strict=True))
    positions = {vertex: offset for row in rows for vertex, offset in zip(*row, strict=True)}
    around = {vertex: [*graph.before[vertex], *graph.after[vertex]] for vertex in positions}
    sides: list[Neighbors] = [graph.before, graph.after]
    for neighbors in [*sides * SWEEPS, *[around] * SWEEPS]:
        for layer, its_offsets in reversed(rows) if neighbors is graph.after else rows:
            _move_to_neighbors(layer, its_offsets, neighbors, positions)
    return positions


def _move_to_neighbors(layer: list[int], offsets: list[float], neighbors: Neighbors, positions: Positions) -> None:
    """Move each vertex of a layer to the mean position of its neighbors, or as near to it as the others allow."""
    near = [neighbors[vertex] or [vertex] for vertex in layer]
    wanted = [sum([positions[other] for other in others]) / len(others) for others in near]
    free = [position - offset for position, offset in zip(wanted, offsets, strict=True)]
    fitted = ascending_fit(free, [len(others) for others in near])
    positions.update(zip(layer, map(add, fitted, offsets), strict=True))


def _offsets(widths: list[float]) -> list[float]:
    """Return where the middles of things of these widths are that are put side by side, counted from the first."""
    return [0.0, *accumulate((one + other) / 2 for one, other in pairwise(widths))]


def ascending_fit(wanted: Iterable[float], weights: Iterable[float]) -> list[float]:
    """Return the ascending numbers that are nearest to the wanted ones: the sum of their squared errors is least.

    Numbers in the wrong order are pooled, and get their common mean: isotonic regression, by the algorithm that is
    known as "pool adjacent violators".
    """
    pools = list[tuple[float, float, int]]()
    for value, weight in zip(wanted, weights, strict=True):
        mean, total, size = value, weight, 1
        while pools and pools[-1][0] > mean:
            before, its_weight, its_size = pools.pop()
            mean = (mean * total + before * its_weight) / (total + its_weight)
            total, size = total + its_weight, size + its_size
        pools.append((mean, total, size))
    return [mean for mean, _, size in pools for _ in range(size)]


def straighten_paths(graph: Adjacency, layers: Layers, positions: Positions, widths: Sequence[float]) -> None:
    """Move the vertices of each path to one position, or to as few as their neighbors in the layers allow."""
    next_to = _neighbors_in_layers(layers)

    def room(vertex: int) -> tuple[float, float]:
        low, high = next_to[vertex]
        return (
            -inf if low is None else positions[low] + (widths[low] + widths[vertex]) / 2,
            inf if high is None else positions[high] - (widths[high] + widths[vertex]) / 2,
        )

    for path in _paths(graph, layers):
        for run, low, high in _runs((vertex, *room(vertex)) for vertex in path):
            mean = sum(positions[vertex] for vertex in run) / len(run)
            positions |= dict.fromkeys(run, min(max(mean, low), high))


def _paths(graph: Adjacency, layers: Layers) -> Iterator[list[int]]:
    """Yield the longest paths on which each link is the only one out of its source and the only one to its target."""
    only_after = {
        vertex: graph.after[vertex][0]
        for layer in layers
        for vertex in layer
        if len(graph.after[vertex]) == 1 and len(graph.before[graph.after[vertex][0]]) == 1
    }
    for first in sorted(only_after.keys() - only_after.values()):
        path = [first]
        while path[-1] in only_after:
            path.append(only_after[path[-1]])
        yield path


def _neighbors_in_layers(layers: Layers) -> dict[int, tuple[int | None, int | None]]:
    """Return the vertices before and after each one in its layer."""
    return {
        vertex: (low, high)
        for layer in layers
        for low, vertex, high in zip([None, *layer], layer, [*layer[1:], None], strict=False)
    }


def _runs(rooms: Iterable[tuple[int, float, float]]) -> Iterator[tuple[list[int], float, float]]:
    """Yield runs of vertices that have room in common, and from where to where it is."""
    run, low, high = list[int](), -inf, inf
    for vertex, lowest, highest in rooms:
        if run and max(low, lowest) > min(high, highest):
            yield run, low, high
            run, low, high = [], -inf, inf
        run.append(vertex)
        low, high = max(low, lowest), min(high, highest)
    if run:
        yield run, low, high
