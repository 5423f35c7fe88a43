"""The quantiles of merged histograms, in the form that answers have."""

from __future__ import annotations

from typing import NamedTuple

from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, quantiles
from asyncdsm.agent.store.histograms import Quantiles as QuantileArrays
from asyncdsm.map.topology import NO_QUANTILES, Quantiles


class GroupQuantiles(NamedTuple):
    """The three histograms of some groups."""

    edge: QuantileArrays
    pathway: QuantileArrays
    size: QuantileArrays

    @classmethod
    def of(cls, histograms: Histograms, groups: int) -> GroupQuantiles:
        """Return the quantiles of the groups 0 to `groups` - 1 of merged histograms."""
        return cls(*(quantiles(histograms, groups, sketch) for sketch in (EDGE, PATHWAY, SIZE)))

    def of_group(self, group: int) -> tuple[Quantiles, Quantiles, Quantiles]:
        """Return the edge latency, the pathway latency and the payload size of one group."""
        return quantiles_of(self.edge, group), quantiles_of(self.pathway, group), quantiles_of(self.size, group)


def quantiles_of(arrays: QuantileArrays, group: int) -> Quantiles:
    """Return the quantiles of one group."""
    if not arrays.counts[group]:
        return NO_QUANTILES
    return Quantiles(arrays.p50.item(group), arrays.p95.item(group), arrays.p99.item(group), arrays.max.item(group))
