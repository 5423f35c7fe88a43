"""A bucket: the counts of ten seconds, until they are sent."""

from __future__ import annotations

from typing import NamedTuple

from asyncdsm.core.histogram import bin_index
from asyncdsm.core.plain.edge import Point

_MAX_INT64 = (1 << 63) - 1

Bins = dict[int, int]
"""Counts by their bin (`histogram.bin_index`)."""


class Histograms(NamedTuple):
    """What was counted at one point in one bucket."""

    edge_latency: Bins
    """Of seconds since the previous checkpoint."""
    pathway_latency: Bins
    """Of seconds since the pathway began."""
    payload_size: Bins
    """Of bytes, as far as they are known."""


class Bucket:
    """The checkpoints and offsets of a few seconds, aligned to the epoch."""

    __slots__ = ("_histograms", "backlogs", "recorded", "start_ns")

    def __init__(self, start_ns: int) -> None:
        self.start_ns: int = start_ns
        self.recorded: int = 0
        """The number of its checkpoints."""
        self.backlogs: dict[tuple[str, ...], int] = {}
        """The highest offset by the sorted tags of its backlog."""
        self._histograms: dict[Point, Histograms] = {}

    def count(self, point: Point, edge_ns: int, pathway_ns: int, size: int | None) -> None:
        """Count one checkpoint. A latency below zero, as clocks that differ give, counts as zero."""
        histograms = self._histograms.get(point)
        if histograms is None:
            histograms = self._histograms[point] = Histograms({}, {}, {})
        _increment(histograms.edge_latency, edge_ns * 1e-9)
        _increment(histograms.pathway_latency, pathway_ns * 1e-9)
        if size is not None:
            _increment(histograms.payload_size, min(size, _MAX_INT64))
        self.recorded += 1

    @property
    def point_count(self) -> int:
        """The number of points that were counted here."""
        return len(self._histograms)

    def points(self) -> dict[Point, Histograms]:
        """Return the histograms of each point."""
        return dict(self._histograms)


def _increment(bins: Bins, value: float) -> None:
    bin_ = bin_index(value)
    bins[bin_] = bins.get(bin_, 0) + 1
