"""What went from which service to which, since the agent started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.metrics.edge_names import EdgeName
from asyncdsm.agent.metrics.histogram_totals import HistogramTotals, Total
from asyncdsm.agent.metrics.hop_latencies import IN_QUEUE, HopLatencies, concat_latencies
from asyncdsm.agent.store.histograms import Floats, Ints
from asyncdsm.agent.store.registry import PointKey, PointRegistry

MOST_LINKS = 5_000
WAIT_SECONDS = 60.0
"""How long messages wait for a report of the service that wrote them: it may report later than the one that read them,
and to another agent of the same store."""
RETRY_SECONDS = 5.0
MOST_WAITING = 100_000
"""How many bins of histograms wait. Beyond, those that have waited longest do not wait any more."""


class LinkName(NamedTuple):
    """Two services, of which the second reads what the first one writes."""

    client: str
    server: str
    env: str
    """The environment of the second one."""


class LinkTotals:
    """Counts messages by the service that wrote them and the one that read them. Not safe for threads.

    An agent counts what it gets from the service that read. The one that wrote is the one of the point before, in the
    registry of the store: whenever, and to whichever agent of that store, it reported.
    """

    def __init__(self, points: PointRegistry, now: Callable[[], float]) -> None:
        """`points` is the registry of the store, and `now` returns seconds."""
        self._points, self._now = points, now
        self._totals = HistogramTotals[LinkName](2, MOST_LINKS, now)
        self._waiting, self._waiting_bins = list[HopLatencies](), 0
        self._retried_at = now()
        self.left_out: float = 0.0
        """How many messages are counted for no link, because there are too many links."""
        self.unlinked: float = 0.0
        """How many are counted for no link, because no service has reported that it wrote them, or they came without a
        context. Each message that was read is in a link, left out, waiting, or here."""

    def add(
        self, edges: Sequence[EdgeName], parents: Sequence[int], groups: Ints, values: Floats, counts: Floats
    ) -> None:
        """Count latencies: `values[i]`, `counts[i]` times, at `edges[groups[i]]` after `parents[groups[i]]`, a hash."""
        if self._now() - self._retried_at >= RETRY_SECONDS:
            self._retry()
        since = [self._now()] * len(edges)
        self._wait(self._count_hops(HopLatencies(list(edges), list(parents), since, groups, values, counts)))

    def totals(self) -> list[Total[LinkName]]:
        """Return what was counted so far."""
        self._retry()
        return list(self._totals.totals())

    def start_native(self) -> None:
        """From now on, count in the buckets of native histograms too."""
        self._totals.start_native()

    def _count_hops(self, hops: HopLatencies) -> HopLatencies:
        """Count messages whose writer is known, and return the others."""
        links, is_known = list[LinkName | None](), np.ones(len(hops.edges), np.bool_)
        for number, (edge, parent) in enumerate(zip(hops.edges, hops.parents, strict=True)):
            try:
                links.append(self._find_link(edge, parent))
            except LookupError:
                links.append(None)
                is_known[number] = False
        kinds = hops.kinds
        refused = self._totals.add(links, hops.groups, kinds, hops.values, hops.counts)
        self.left_out += float(hops.counts[refused & (kinds == IN_QUEUE)].sum())
        has_none = is_known & np.array([link is None for link in links], np.bool_)
        self.unlinked += hops.select(has_none).messages
        return hops.select(~is_known)

    def _retry(self) -> None:
        """Count what waits, if its writer is known now; give it up if it has waited for too long."""
        self._retried_at = self._now()
        if self._waiting:
            rest = self._count_hops(self._take_waiting())
            self._keep_waiting(rest, np.array(rest.since) > self._retried_at - WAIT_SECONDS)

    def _wait(self, hops: HopLatencies) -> None:
        if not len(hops.groups):
            return
        self._waiting.append(hops)
        self._waiting_bins += len(hops.groups)
        if self._waiting_bins > MOST_WAITING:
            waiting = self._take_waiting()
            bins = np.bincount(waiting.groups, minlength=len(waiting.edges))
            # The latest ones, and a tenth less than there is room for, so that this is not due with each payload.
            self._keep_waiting(waiting, np.cumsum(bins[::-1])[::-1] <= MOST_WAITING * 9 // 10)

    def _take_waiting(self) -> HopLatencies:
        waiting = concat_latencies(self._waiting)
        self._waiting, self._waiting_bins = [], 0
        return waiting

    def _keep_waiting(self, hops: HopLatencies, chosen: NDArray[np.bool_]) -> None:
        """Let the groups that are chosen wait, and give up the others."""
        self.unlinked += hops.select(~chosen).messages
        self._wait(hops.select(chosen))

    def _find_link(self, edge: EdgeName, parent: int) -> LinkName | None:
        """Return the link of a point; None if it has none. Raises LookupError if the points before are not known."""
        before = self._find_point(parent)
        if edge.direction == "out":
            before = None if before is None or _is_write(before) else self._find_point(before.parent)
        return LinkName(before.service, edge.service, edge.env) if before is not None and _is_write(before) else None

    def _find_point(self, hash_: int) -> PointKey | None:
        """Return the point of a hash, None for that before the first one. Raises LookupError if it is not known."""
        if hash_ == 0:
            return None
        if (found := self._points.find_hash(hash_)) is None:
            raise LookupError(hash_)
        return found


def _is_write(point: PointKey) -> bool:
    return "direction:out" in point.tags
