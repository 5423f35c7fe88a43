"""What passed each edge over time, in slots of equal length: what the rules for changes look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.queries.latency_changes import ENOUGH_MESSAGES
from asyncdsm.agent.queries.usual_slots import Slot
from asyncdsm.agent.store.histograms import Floats
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.versions import ServiceKey
from asyncdsm.map.levels import LOWEST_LIMIT, slowness_of

FEWEST_LATENCIES = 5
"""A slot with fewer messages says nothing about the latency."""


class EdgeHistory(NamedTuple):
    """The counts and latencies of edges: row `e`, column `s` is edge `edges[e]` in slot `s`."""

    first: int
    """The start of the first slot, in seconds since the epoch."""
    width: int
    """The length of a slot in seconds."""
    settled: int
    """How many slots, from the first one on, are over, so that nothing more is expected to be reported of them."""
    settled_at: int
    """Until when nothing more is expected to be reported, in seconds since the epoch."""
    edges: list[EdgeKey]
    counts: Floats
    p50: Floats
    p99: Floats

    def start_of(self, slot: int) -> int:
        """Return the start of a slot, in seconds since the epoch."""
        return self.first + slot * self.width

    def latency_slots(self, edge: int) -> list[Slot]:
        """Return how slow an edge was in each slot in which enough messages passed."""
        slots = np.flatnonzero(self.counts[edge] >= FEWEST_LATENCIES).tolist()
        columns = (table[edge, slots].tolist() for table in (self.p50, self.p99, self.counts))
        found = zip(slots, *columns, strict=True)
        return [Slot(self.start_of(slot), slowness_of(p50, p99), p50, p99, count) for slot, p50, p99, count in found]

    def edges_of_two_levels(self, factor: float) -> list[int]:
        """Return the rows of the edges whose slownesses or medians differ by a factor: the others never changed."""
        slowness = np.maximum(self.p50, self.p99 / 10)
        of_slowness = _differ(slowness, self.counts >= FEWEST_LATENCIES, factor)
        rows: list[int] = np.flatnonzero(
            of_slowness | _differ(self.p50, self.counts >= ENOUGH_MESSAGES, factor)
        ).tolist()
        return rows

    def first_starts(self) -> dict[EdgeKey, int]:
        """Return the start of the first slot in which anything passed each edge."""
        first = (self.counts > 0).argmax(axis=1).tolist()
        return {edge: self.start_of(slot) for edge, slot in zip(self.edges, first, strict=True)}

    def known_slots(self) -> NDArray[np.bool_]:
        """Return in which slots any service reported; of the others the agent knows nothing, it may not have run."""
        known: NDArray[np.bool_] = (self.counts > 0).sum(axis=0) > 0
        return known

    def slots_of_services(self) -> dict[ServiceKey, list[int]]:
        """Return the slots in which each service reported anything, in ascending order."""
        rows: dict[ServiceKey, list[int]] = {}
        for row, edge in enumerate(self.edges):
            rows.setdefault(edge[:2], []).append(row)
        return {service: np.flatnonzero(self.counts[listed].any(axis=0)).tolist() for service, listed in rows.items()}


def _differ(latencies: Floats, said: NDArray[np.bool_], factor: float) -> NDArray[np.bool_]:
    """Return for each row whether its latencies differ by a factor, of the slots that say something."""
    levels = np.maximum(latencies, LOWEST_LIMIT)
    highest = np.where(said, levels, 0.0).max(axis=1, initial=0.0)
    lowest = np.where(said, levels, np.inf).min(axis=1, initial=np.inf)
    differ: NDArray[np.bool_] = highest >= lowest * factor
    return differ
