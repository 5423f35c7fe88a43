"""The quantiles of merged histograms, in the form that answers have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asyncdsm.agent.queries.pathway_starts import Bools, begins_of, drop_starts
from asyncdsm.agent.store.histograms import (
    EDGE,
    PATHWAY,
    SIZE,
    Floats,
    Histograms,
    Ints,
    merge,
    quantiles,
    sum_by_group,
)
from asyncdsm.agent.store.histograms import Quantiles as QuantileArrays
from asyncdsm.agent.store.registry import PointKey
from asyncdsm.map.topology import NO_QUANTILES, Quantiles


class GroupQuantiles(NamedTuple):
    """The three histograms of some groups."""

    edge: QuantileArrays
    pathway: QuantileArrays
    size: QuantileArrays
    counts: Floats
    """How many messages there were, also those that had no latency because their pathway began with them."""

    @classmethod
    def of(
        cls, histograms: Histograms, groups: int, begins: Bools | None = None, group_of: Ints | None = None
    ) -> GroupQuantiles:
        """Return the quantiles of the groups 0 to `groups` - 1 of merged histograms.

        `begins` tells in which groups of the histograms pathways begin: a latency of zero is none there. With
        `group_of`, group `g` of the histograms belongs to the group `group_of[g]` of the result.
        """
        latencies = histograms if begins is None else drop_starts(histograms, begins)
        if group_of is not None:
            histograms, latencies = histograms.relabel(group_of), merge(latencies.relabel(group_of))
        edge, pathway, size = (quantiles(latencies, groups, sketch) for sketch in (EDGE, PATHWAY, SIZE))
        return cls(edge, pathway, size, count_messages(histograms, groups))

    @classmethod
    def of_points(cls, keys: Sequence[PointKey], histograms: Histograms) -> GroupQuantiles:
        """Return the quantiles of points: group `i` of merged histograms is the point `keys[i]`."""
        return cls.of(histograms, len(keys), begins_of(keys))

    def of_group(self, group: int) -> tuple[Quantiles, Quantiles, Quantiles]:
        """Return the edge latency, the pathway latency and the payload size of one group."""
        return quantiles_of(self.edge, group), quantiles_of(self.pathway, group), quantiles_of(self.size, group)


def count_messages(histograms: Histograms, groups: int) -> Floats:
    """Return how many messages each of the groups below `groups` has."""
    edges = histograms.select_sketch(EDGE)
    return sum_by_group(edges.groups, edges.counts, groups)


def quantiles_of(arrays: QuantileArrays, group: int) -> Quantiles:
    """Return the quantiles of one group."""
    if not arrays.counts[group]:
        return NO_QUANTILES
    return Quantiles(arrays.p50.item(group), arrays.p95.item(group), arrays.p99.item(group), arrays.max.item(group))
