"""The quantiles of merged histograms, in the form that answers have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.store.histograms import (
    EDGE,
    PATHWAY,
    SIZE,
    Floats,
    Histograms,
    Ints,
    decode_key,
    merge,
    quantiles,
    sum_by_group,
    zero_keys,
)
from asyncdsm.agent.store.histograms import Quantiles as QuantileArrays
from asyncdsm.agent.store.registry import PointKey
from asyncdsm.map.topology import NO_QUANTILES, Quantiles

Bools = NDArray[np.bool_]


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


def begins_of(keys: Sequence[PointKey]) -> Bools:
    """Return at which points pathways begin."""
    return np.array([key.parent == 0 for key in keys], np.bool_)


def drop_starts(histograms: Histograms, begins: Bools) -> Histograms:
    """Return histograms without the latencies of zero in groups where pathways begin: nothing came before."""
    zeros = np.flatnonzero(histograms.keys == zero_keys(histograms.keys))
    dropped = [
        place
        for place, key in zip(zeros.tolist(), histograms.keys[zeros].tolist(), strict=True)
        for group, sketch, _ in [decode_key(key)]
        if sketch != SIZE and begins[group]
    ]
    return Histograms(np.delete(histograms.keys, dropped), np.delete(histograms.counts, dropped))


def quantiles_of(arrays: QuantileArrays, group: int) -> Quantiles:
    """Return the quantiles of one group."""
    if not arrays.counts[group]:
        return NO_QUANTILES
    return Quantiles(arrays.p50.item(group), arrays.p95.item(group), arrays.p99.item(group), arrays.max.item(group))
