"""Links over several layers are straight where there is room: their bends get a common position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf

from asyncdsm.agent.layered.order import Layers
from asyncdsm.agent.layered.positions import Positions


def straighten_chains(
    chains: Iterable[list[int]], layers: Layers, positions: Positions, widths: Sequence[float]
) -> None:
    """Move the bends of each chain to one position, or in as few runs as the vertices beside them allow."""
    next_to = _neighbours_in_layers(layers)

    def room(bend: int) -> tuple[float, float]:
        low, high = next_to[bend]
        return (
            -inf if low is None else positions[low] + (widths[low] + widths[bend]) / 2,
            inf if high is None else positions[high] - (widths[high] + widths[bend]) / 2,
        )

    for chain in chains:
        for run, low, high in _runs((bend, *room(bend)) for bend in chain):
            mean = sum(positions[bend] for bend in run) / len(run)
            positions |= dict.fromkeys(run, min(max(mean, low), high))


def _neighbours_in_layers(layers: Layers) -> dict[int, tuple[int | None, int | None]]:
    """Return the vertices before and after each one in its layer."""
    return {
        vertex: (low, high)
        for layer in layers
        for low, vertex, high in zip([None, *layer], layer, [*layer[1:], None], strict=False)
    }


def _runs(rooms: Iterable[tuple[int, float, float]]) -> Iterator[tuple[list[int], float, float]]:
    """Yield runs of bends that have room in common, and from where to where it is."""
    run, low, high = list[int](), -inf, inf
    for bend, lowest, highest in rooms:
        if run and max(low, lowest) > min(high, highest):
            yield run, low, high
            run, low, high = [], -inf, inf
        run.append(bend)
        low, high = max(low, lowest), min(high, highest)
    if run:
        yield run, low, high
