"""What was counted by edge, and how many messages by point: all that a map needs, in a tenth of the counts."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.histograms import EDGE, EMPTY, Floats, Histograms, Ints, merge, sum_by_group
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.registry import EdgeKey, PointRegistry


class EdgeNumbering:
    """Gives edges numbers from 0 on, and keeps them: sums that are computed at different times can be added up.

    A *label* is twice the number of an edge, and one more for a point at which pathways begin. Any thread may use it.
    """

    def __init__(self, registry: PointRegistry) -> None:
        self.edges: list[EdgeKey] = []
        """The edge of each number."""
        self._keys = registry.keys
        self._numbers: dict[EdgeKey, int] = {}
        self._labels: dict[int, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return max(len(self.edges), len(self._labels))

    def labels_of(self, points: Ints) -> Ints:
        """Return the label of each point, given by its number; -1 for a point that was evicted."""
        labels = [self._labels.get(point) for point in points.tolist()]
        if None in labels:
            with self._lock:
                labels = [self._label(point) for point in points.tolist()]
        return np.array(labels, np.int64)

    def _label(self, point: int) -> int:
        label = self._labels.get(point)
        if label is None:
            key = self._keys.get(point)
            if key is None:
                return -1
            number = self._numbers.setdefault(key.edge, len(self.edges))
            if number == len(self.edges):
                self.edges.append(key.edge)
            label = self._labels[point] = 2 * number + (key.parent == 0)
        return label


class EdgeSums(NamedTuple):
    """Group `g` of `histograms` is what was counted under `labels[g]`; `points[i]` passed `counts[i]` messages.

    Labels and points are in ascending order. `edges` has the edge of each number. Sums of one time have the same
    `version` only if they are equal; None is unknown.
    """

    edges: Sequence[EdgeKey]
    labels: Ints
    histograms: Histograms
    points: Ints
    counts: Floats
    version: Hashable = None


def sum_rows(rows: Rows, numbering: EdgeNumbering) -> EdgeSums:
    """Return rows summed up, whenever they start. Rows of points that were evicted are left out."""
    labels = numbering.labels_of(rows.points)
    known = labels >= 0
    rows = rows.select(known)
    found, group_of = _places(labels[known])
    points, place = _places(rows.points)
    passed = rows.histograms.select_sketch(EDGE)
    counts = sum_by_group(place[passed.groups], passed.counts, len(points))
    return EdgeSums(numbering.edges, found, merge(rows.histograms.relabel(group_of)), points, counts)


def sum_rows_by_start(rows: Rows, numbering: EdgeNumbering) -> dict[int, EdgeSums]:
    """Return rows summed up by their starts."""
    starts = np.unique(rows.starts).tolist()
    return {start: sum_rows(rows.select(rows.starts == start), numbering) for start in starts}


def add_sums(parts: Iterable[EdgeSums], numbering: EdgeNumbering) -> EdgeSums:
    """Return the sum of parts, whose edges all have the numbers of `numbering`."""
    listed = list(parts)
    if len(listed) == 1:
        return listed[0]
    if not listed:
        return EdgeSums(numbering.edges, np.empty(0, np.int64), EMPTY, np.empty(0, np.int64), np.empty(0, np.float64))
    labels, group_of = _places(np.concatenate([part.labels for part in listed]))
    points, place = _places(np.concatenate([part.points for part in listed]))
    ends = np.cumsum([len(part.labels) for part in listed])[:-1]
    histograms = merge(
        *(part.histograms.relabel(group) for part, group in zip(listed, np.split(group_of, ends), strict=True))
    )
    counts = sum_by_group(place, np.concatenate([part.counts for part in listed]), len(points))
    versions = tuple(part.version for part in listed)
    return EdgeSums(numbering.edges, labels, histograms, points, counts, None if None in versions else versions)


def count_by_edge(sums: EdgeSums) -> dict[EdgeKey, float]:
    """Return how many messages passed each edge."""
    hops, counts = sums.histograms.select_sketch(EDGE), dict[EdgeKey, float]()
    by_label = sum_by_group(hops.groups, hops.counts, len(sums.labels))
    for label, count in zip(sums.labels.tolist(), by_label.tolist(), strict=True):
        edge = sums.edges[label >> 1]
        counts[edge] = counts.get(edge, 0.0) + count
    return counts


def _places(values: Ints) -> tuple[Ints, Ints]:
    """Return the different values in ascending order, and for each value where it is among them."""
    found, place = np.unique(values, return_inverse=True)
    return found, place.reshape(-1).astype(np.int64, copy=False)
