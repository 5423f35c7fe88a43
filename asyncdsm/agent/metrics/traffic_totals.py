"""What has passed each edge, and from which service to which, since the agent started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

import numpy as np

from asyncdsm._internal.bounds import make_room
from asyncdsm.agent.metrics.histogram_totals import HistogramTotals, Total
from asyncdsm.agent.queries.kafka_clusters import queue_of, split_tags
from asyncdsm.agent.queries.pathway_starts import begins_of, find_starts
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, Histograms
from asyncdsm.agent.store.reports import PointReport, Report

MOST_EDGES = 5_000
MOST_LINKS = 5_000
MOST_PATHWAYS = 100_000
"""How many pathways are known by their hash, to tell which service a message came from."""
IN_QUEUE, IN_SERVICE = 0, 1
"""The histograms of a link: the time in the queue between two services; and the time in the second service, of messages
that it wrote because of one that it read from the first."""


class EdgeName(NamedTuple):
    """An edge as its labels name it."""

    service: str
    env: str
    direction: str
    type: str
    queue: str
    group: str
    cluster: str
    kind: str
    """`exchange` where messages are not read under the name that they were sent to; empty elsewhere."""


class LinkName(NamedTuple):
    """Two services, of which the second reads what the first one writes."""

    client: str
    server: str
    env: str
    """The environment of the second one."""


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
    """How many messages have no numbers of their own, because there are too many edges."""
    left_out_of_links: float
    """How many messages are counted for no link, because there are too many."""


class TrafficTotals:
    """Counts what services report. Any thread may use it."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` returns seconds."""
        self._lock = Lock()
        self._edges = HistogramTotals[EdgeName](3, MOST_EDGES, now)
        self._links = HistogramTotals[LinkName](2, MOST_LINKS, now)
        self._left_out, self._left_out_of_links = 0.0, 0.0
        self._writers: dict[int, str] = {}
        """By the hash of a pathway, the service that wrote its messages."""
        self._clients: dict[int, str] = {}
        """By the hash of a pathway that a service has read, the service that wrote its messages."""

    def add(self, report: Report) -> None:
        """Count a payload that was stored."""
        points = [point for bucket in report.buckets for point in bucket.points]
        edges = [_name_edge(report.service, report.env, point.tags) for point in points]
        with self._lock:
            for point, edge in zip(points, edges, strict=True):
                self._learn(point, edge)
            links = [self._find_link(point, edge) for point, edge in zip(points, edges, strict=True)]
            self._count(points, edges, links, report.histograms)

    def read(self) -> Traffic:
        """Return what was counted so far."""
        with self._lock:
            edges, links = list(self._edges.totals()), list(self._links.totals())
            return Traffic(edges, links, self._left_out, self._left_out_of_links)

    def start_native(self) -> None:
        """From now on, count in the buckets of native histograms too."""
        with self._lock:
            self._edges.start_native()
            self._links.start_native()

    def _count(
        self,
        points: Sequence[PointReport],
        edges: Sequence[EdgeName],
        links: Sequence[LinkName | None],
        histograms: Histograms,
    ) -> None:
        groups, sketches, values, counts = histograms.bins()
        writes = np.array([edge.direction == "out" for edge in edges], np.bool_)
        kept = (sketches != EDGE) | ~find_starts(groups, values == 0.0, begins_of(points))
        groups, sketches, values, counts = groups[kept], sketches[kept], values[kept], counts[kept]
        refused = self._edges.add(edges, groups, sketches, values, counts)
        self._left_out += float(counts[refused & (sketches == PATHWAY)].sum())  # each message is in it once
        hops = sketches == EDGE
        of_link = np.where(writes[groups[hops]], IN_SERVICE, IN_QUEUE)
        refused = self._links.add(links, groups[hops], of_link, values[hops], counts[hops])
        self._left_out_of_links += float(counts[hops][refused & (of_link == IN_QUEUE)].sum())

    def _learn(self, point: PointReport, name: EdgeName) -> None:
        if name.direction == "out":
            _store_bounded(self._writers, point.hash, name.service)
        elif (writer := self._writers.get(point.parent)) is not None:
            _store_bounded(self._clients, point.hash, writer)

    def _find_link(self, point: PointReport, edge: EdgeName) -> LinkName | None:
        """Return the link that a point belongs to; None if the service that wrote the message is not known."""
        client = (self._clients if edge.direction == "out" else self._writers).get(point.parent)
        return None if client is None else LinkName(client, edge.service, edge.env)


def _store_bounded(known: dict[int, str], hash_: int, service: str) -> None:
    if hash_ not in known:
        make_room(known, MOST_PATHWAYS)
        known[hash_] = service


@lru_cache(MOST_EDGES)
def _name_edge(service: str, env: str, tags: tuple[str, ...]) -> EdgeName:
    named = split_tags(tags)
    return EdgeName(
        service,
        env,
        named.get("direction", ""),
        named.get("type", ""),
        queue_of(named),
        named.get("group", ""),
        named.get("kafka_cluster_id", ""),
        "exchange" if "exchange" in named and not named.get("topic") else "",
    )
