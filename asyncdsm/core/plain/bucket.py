"""A bucket: the counts of ten seconds, until they are sent."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import NamedTuple

from asyncdsm.core.histogram import bin_index
from asyncdsm.core.plain.edge import Edge, Point

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
        self._histograms: defaultdict[Point, Histograms] = defaultdict(_make_histograms)

    def count(self, point: Point, edge_ns: int, pathway_ns: int, size: int | None) -> None:
        """Count one checkpoint. A latency below zero, as clocks that differ give, counts as zero."""
        edge_latency, pathway_latency, payload_size = self._histograms[point]
        edge_latency[bin_index(edge_ns * 1e-9)] += 1
        pathway_latency[bin_index(pathway_ns * 1e-9)] += 1
        if size is not None:
            payload_size[bin_index(min(size, _MAX_INT64))] += 1
        self.recorded += 1

    @property
    def point_count(self) -> int:
        """The number of points that were counted here."""
        return len(self._histograms)

    def first_edges(self, points: int) -> set[Edge]:
        """Return the edges of the points that were counted first: `points` is how many of them."""
        return {point.edge for point in islice(self._histograms, points)}

    def points_from(self, first: int, most: int) -> list[tuple[Point, Histograms]]:
        """Return the histograms of at most `most` points, from the one with the number `first` on.

        With many thousands of points, other threads would wait for `points`. A point may come twice.
        """
        return list(islice(self._histograms.items(), first, first + most))

    def points(self) -> dict[Point, Histograms]:
        """Return the histograms of each point."""
        return dict(self._histograms)


def _make_histograms() -> Histograms:
    return Histograms(defaultdict(int), defaultdict(int), defaultdict(int))
