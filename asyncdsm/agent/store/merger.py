"""Rows of the store, and the merging of their histograms under labels that the reader chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.store.histograms import EMPTY, Histograms, Ints, merge
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS

# How many counts are collected before they are merged: 32 MiB, or as many as what is merged already has.
_MAX_UNMERGED_COUNTS = 1 << 21


class Rows(NamedTuple):
    """Points during periods of time.

    Group `g` of `histograms` is what `points[g]` counted from `starts[g]` (seconds since the epoch) on.
    """

    starts: Ints
    points: Ints
    histograms: Histograms
    widths: Ints | int = BUCKET_SECONDS
    """How many seconds each row covers, or all of them."""

    def select(self, wanted: NDArray[np.bool_]) -> Rows:
        """Return each row `g` for which `wanted[g]` is true."""
        if wanted.all():
            return self
        if not wanted.any():
            return Rows(self.starts[:0], self.points[:0], EMPTY)
        place = np.cumsum(wanted) - 1
        histograms = self.histograms.select_groups(wanted).relabel(place)
        widths = self.widths if isinstance(self.widths, int) else self.widths[wanted]
        return Rows(self.starts[wanted], self.points[wanted], histograms, widths)


Label = Callable[[Rows], Ints]
"""Returns the label of each row. Rows with the same label are merged; rows with the label -1 are left out."""


def by_point(rows: Rows) -> Ints:
    """Label each row with the number of its point."""
    return rows.points


class LabeledHistograms(NamedTuple):
    """Merged histograms: group `g` has the label `labels[g]`. Labels are in ascending order."""

    labels: Ints
    histograms: Histograms


class Merger:
    """Merges histograms by label, part by part."""

    def __init__(self) -> None:
        self._labels: list[Ints] = []
        self._parts: list[Histograms] = []
        self._groups = self._unmerged_counts = self._merged_counts = 0

    def add(self, labels: Ints, histograms: Histograms) -> None:
        """Add histograms whose group `g` has the label `labels[g]`."""
        self._labels.append(labels)
        self._parts.append(histograms.shift_groups(self._groups))
        self._groups += len(labels)
        self._unmerged_counts += len(histograms.keys)
        if self._unmerged_counts > max(_MAX_UNMERGED_COUNTS, self._merged_counts):
            self._merge_parts()

    def add_rows(self, rows: Rows, label: Label, sketch: int | None = None) -> None:
        """Add rows under their labels: all three histograms, or only `sketch`."""
        labels = label(rows)
        wanted = labels >= 0
        histograms = rows.select(wanted).histograms
        self.add(labels[wanted], histograms if sketch is None else histograms.select_sketch(sketch))

    def result(self) -> LabeledHistograms:
        """Return everything that was added, merged."""
        self._merge_parts()
        if not self._labels:
            return LabeledHistograms(np.empty(0, np.int64), EMPTY)
        return LabeledHistograms(self._labels[0], self._parts[0])

    def _merge_parts(self) -> None:
        if not self._labels:
            return
        labels, group_of = np.unique(np.concatenate(self._labels), return_inverse=True)
        group_of = group_of.astype(np.int64)
        histograms = merge(*(part.relabel(group_of) for part in self._parts))
        self._labels, self._parts = [labels], [histograms]
        self._groups, self._unmerged_counts, self._merged_counts = len(labels), 0, len(histograms.keys)
