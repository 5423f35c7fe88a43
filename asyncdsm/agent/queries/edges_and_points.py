"""The edges and the points of a time range, from their sums: in order, and without what was evicted meanwhile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asyncdsm.agent.queries.quantiles import GroupQuantiles
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.histograms import EDGE, Floats, Histograms, Ints, sum_by_group, zero_keys
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey, PointKey


class EdgesAndPoints(NamedTuple):
    """`edges[i]` has the group `i` of `by_edge` and the share `clamped[i]`; `keys[i]` passed `counts[i]` messages."""

    edges: list[EdgeKey]
    by_edge: GroupQuantiles
    clamped: list[float]
    """Which share of each edge's latencies is zero, of messages that were consumed and came from a producer.

    A produced message came from the same process: its latency is zero where the clock of the tracer is coarse, as that
    of dd-trace-js, which counts whole milliseconds.
    """
    keys: list[PointKey]
    counts: Floats

    @classmethod
    def of(cls, store: Store, sums: EdgeSums) -> EdgesAndPoints:
        """Return what is in sums, as far as the store knows its points."""
        looked_up = map(store.points.keys.get, sums.points.tolist())
        known = sorted((key, place) for place, key in enumerate(looked_up) if key is not None)
        keys = [key for key, _ in known]
        edges = sorted({key.edge for key in keys})
        group_of = {edge: group for group, edge in enumerate(edges)}
        groups = np.array([group_of.get(sums.edges[label >> 1], -1) for label in sums.labels.tolist()], np.int64)
        histograms = sums.histograms if (groups >= 0).all() else sums.histograms.select_groups(groups >= 0)
        begins = sums.labels % 2 == 1
        is_consumed = np.array(["direction:in" in edge.tags for edge in edges], np.bool_)
        from_producer = ~begins & is_consumed[groups] if edges else begins
        return cls(
            edges,
            GroupQuantiles.of(histograms, len(edges), begins, groups),
            _zero_shares(histograms.select_groups(from_producer), groups, len(edges)),
            keys,
            sums.counts[[place for _, place in known]],
        )


def _zero_shares(histograms: Histograms, group_of: Ints, groups: int) -> list[float]:
    """Return which share of the latencies of each group are zero; 0 without any."""
    hops = histograms.select_sketch(EDGE)
    is_zero, group = hops.keys == zero_keys(hops.keys), group_of[hops.groups]
    zeros, counts = sum_by_group(group[is_zero], hops.counts[is_zero], groups), sum_by_group(group, hops.counts, groups)
    shares: list[float] = np.divide(zeros, counts, out=np.zeros(groups), where=counts > 0).tolist()
    return shares
