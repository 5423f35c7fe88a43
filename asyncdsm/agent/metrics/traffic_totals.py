"""What has passed each edge, and from which service to which, since the agent started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from time import time
from typing import NamedTuple

from asyncdsm.agent.metrics.edge_names import EdgeName, name_edge
from asyncdsm.agent.metrics.histogram_totals import HistogramTotals, Total
from asyncdsm.agent.metrics.link_totals import LinkName, LinkTotals
from asyncdsm.agent.queries.pathway_starts import begins_of, find_starts
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, Histograms
from asyncdsm.agent.store.registry import PointRegistry
from asyncdsm.agent.store.reports import PointReport, Report

MOST_EDGES = 5_000


class Traffic(NamedTuple):
    """What was counted so far."""

    edges: list[Total[EdgeName]]
    """The histograms `EDGE`, `PATHWAY` and `SIZE` of each edge.

    `EDGE` is the time in the queue, of messages that were read, or the time in the service, of those that were written.
    A message that begins a pathway has none, as on the map.
    """
    links: list[Total[LinkName]]
    """The histograms `IN_QUEUE` and `IN_SERVICE` of each link."""
    left_out: float
    """How many messages have no numbers of their own: there are too many edges, or a name is too long, for example."""
    left_out_of_links: float
    """How many messages are counted for no link, because there are too many."""
    unlinked: float
    """How many messages that were read are counted for no link, because no service is known that wrote them."""
    epoch: float
    """What is added to `Total.since`, to have seconds since the epoch."""


class TrafficTotals:
    """Counts what services report. Any thread may use it."""

    def __init__(self, now: Callable[[], float], points: PointRegistry) -> None:
        """`now` returns seconds, and `points` is the registry of the store that has what is counted."""
        self._lock, self._epoch = Lock(), time() - now()
        self._edges = HistogramTotals[EdgeName](3, MOST_EDGES, now)
        self._links = LinkTotals(points, now)
        self._left_out = 0.0

    def add(self, report: Report) -> None:
        """Count a payload that was stored."""
        points = [point for bucket in report.buckets for point in bucket.points]
        edges = [name_edge(report.service, report.env, point.tags) for point in points]
        with self._lock:
            self._count(points, edges, report.histograms)
            self._left_out += report.left_out

    def read(self) -> Traffic:
        """Return what was counted so far."""
        with self._lock:
            links, edges = self._links.totals(), list(self._edges.totals())
            return Traffic(edges, links, self._left_out, self._links.left_out, self._links.unlinked, self._epoch)

    def start_native(self) -> None:
        """From now on, count in the buckets of native histograms too."""
        with self._lock:
            self._edges.start_native()
            self._links.start_native()

    def _count(self, points: Sequence[PointReport], edges: Sequence[EdgeName], histograms: Histograms) -> None:
        groups, sketches, values, counts = histograms.bins()
        hops = sketches == EDGE
        self._links.add(edges, [point.parent for point in points], groups[hops], values[hops], counts[hops])
        kept = (sketches != EDGE) | ~find_starts(groups, values == 0.0, begins_of(points))
        groups, sketches, values, counts = groups[kept], sketches[kept], values[kept], counts[kept]
        refused = self._edges.add(edges, groups, sketches, values, counts)
        self._left_out += float(counts[refused & (sketches == PATHWAY)].sum())  # each message is in it once
