"""Numbers for edges during one query: rows of the store have points, of which an edge may have many."""

from __future__ import annotations

import numpy as np

from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.histograms import Ints
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey


class EdgeNumbers:
    """Gives the edges numbers from 0 on, in the order of their first use."""

    def __init__(self, store: Store) -> None:
        self._keys = store.points.keys
        self._of_point: dict[int, int] = {}
        self.edges: dict[EdgeKey, int] = {}

    def of_points(self, points: Ints) -> Ints:
        """Return the number of each point's edge; -1 for a point that was forgotten in the meantime."""
        found, place = np.unique(points, return_inverse=True)
        return np.array([self._number(point) for point in found.tolist()], np.int64)[place.reshape(-1)]

    def of_sums(self, sums: EdgeSums) -> Ints:
        """Return the number of the edge of each label of sums."""
        edges = (sums.edges[label >> 1] for label in sums.labels.tolist())
        return np.array([self.edges.setdefault(edge, len(self.edges)) for edge in edges], np.int64)

    def _number(self, point: int) -> int:
        number = self._of_point.get(point)
        if number is None:
            key = self._keys.get(point)
            number = -1 if key is None else self.edges.setdefault(key.edge, len(self.edges))
            self._of_point[point] = number
        return number
