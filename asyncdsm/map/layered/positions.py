"""Where across the flow each vertex is: near its neighbours, in the order of its layer, at a distance from the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from operator import add

from asyncdsm.map.layered.adjacency import Adjacency
from asyncdsm.map.layered.order import Layers

Positions = dict[int, float]
Neighbours = list[list[int]] | dict[int, list[int]]

SWEEPS = 3
# How often all layers are moved to the layers before them, then to those after them; and at last to both.


def find_positions(graph: Adjacency, layers: Layers, widths: Sequence[float]) -> Positions:
    """Return the position of each vertex's middle. Two of one layer never overlap: `widths` gives the room of each."""
    offsets = [_offsets([widths[vertex] for vertex in layer]) for layer in layers]
    rows = list(zip(layers, offsets, strict=True))
    positions = {vertex: offset for row in rows for vertex, offset in zip(*row, strict=True)}
    around = {vertex: [*graph.before[vertex], *graph.after[vertex]] for vertex in positions}
    sides: list[Neighbours] = [graph.before, graph.after]
    for neighbours in [*sides * SWEEPS, *[around] * SWEEPS]:
        for layer, its_offsets in reversed(rows) if neighbours is graph.after else rows:
            _move_to_neighbours(layer, its_offsets, neighbours, positions)
    return positions


def _move_to_neighbours(layer: list[int], offsets: list[float], neighbours: Neighbours, positions: Positions) -> None:
    """Move each vertex of a layer to the mean position of its neighbours, or as near to it as the others allow."""
    near = [neighbours[vertex] or [vertex] for vertex in layer]
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
