"""Vertices that are linked one to one get the same position where there is room: long links become straight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf

from asyncdsm.map.layered.adjacency import Adjacency
from asyncdsm.map.layered.order import Layers
from asyncdsm.map.layered.positions import Positions


def straighten_paths(graph: Adjacency, layers: Layers, positions: Positions, widths: Sequence[float]) -> None:
    """Move the vertices of each path to one position, or to as few as the vertices beside them allow."""
    next_to = _neighbours_in_layers(layers)

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


def _neighbours_in_layers(layers: Layers) -> dict[int, tuple[int | None, int | None]]:
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
