"""Merging what is read, part by part, under labels of the reader's choice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.store.histograms import EMPTY, Histograms, Ints, merge

_TOGETHER = 1 << 21
"""Histograms that wait to be merge: 32 MiB."""


class Rows(NamedTuple):
    """Points during stretches of time: group `g` of `cells` is point `points[g]` from `starts[g]` on (seconds)."""

    starts: Ints
    points: Ints
    cells: Histograms

    def where(self, chosen: NDArray[np.bool_]) -> Rows:
        """Return the rows that are marked."""
        place = np.cumsum(chosen) - 1
        return Rows(self.starts[chosen], self.points[chosen], self.cells.select_groups(chosen).relabel(place))


class Grouped(NamedTuple):
    """Merged cells: group `g` is what has the label `labels[g]`; labels ascend."""

    labels: Ints
    cells: Histograms


class Merger:
    """Adds up cells by label."""

    def __init__(self) -> None:
        self._labels: list[Ints] = []
        self._parts: list[Histograms] = []
        self._groups = self._waiting = 0

    def add(self, labels: Ints, cells: Histograms) -> None:
        """Add cells, whose group `g` has the label `labels[g]`."""
        self._labels.append(labels)
        self._parts.append(cells.shift_groups(self._groups))
        self._groups += len(labels)
        self._waiting += len(cells.keys)
        if self._waiting > _TOGETHER:
            self._fold()

    def grouped(self) -> Grouped:
        """Return the sums."""
        self._fold()
        return Grouped(self._labels[0], self._parts[0]) if self._labels else Grouped(np.empty(0, np.int64), EMPTY)

    def _fold(self) -> None:
        if not self._labels:
            return
        labels, group_of = np.unique(np.concatenate(self._labels), return_inverse=True)
        group_of = group_of.astype(np.int64)
        cells = merge(*(part.relabel(group_of) for part in self._parts))
        self._labels, self._parts, self._groups, self._waiting = [labels], [cells], len(labels), 0
