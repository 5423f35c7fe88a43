"""The quantiles of merged histograms, as answers have them."""

from __future__ import annotations

from typing import NamedTuple

from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Cells, Summary, summary
from asyncdsm.map.topology import NO_QUANTILES, Quantiles


class GroupQuantiles(NamedTuple):
    """The three histograms of some groups."""

    edge: Summary
    pathway: Summary
    size: Summary

    @classmethod
    def of(cls, cells: Cells, groups: int) -> GroupQuantiles:
        """Return the quantiles of the groups 0 to `groups` - 1 of merged cells."""
        return cls(*(summary(cells, groups, sketch) for sketch in (EDGE, PATHWAY, SIZE)))

    def of_group(self, group: int) -> tuple[Quantiles, Quantiles, Quantiles]:
        """Return the edge latency, the pathway latency and the payload size of one group."""
        return quantiles_of(self.edge, group), quantiles_of(self.pathway, group), quantiles_of(self.size, group)


def quantiles_of(histogram: Summary, group: int) -> Quantiles:
    """Return the quantiles of one group."""
    if not histogram.counts[group]:
        return NO_QUANTILES
    return Quantiles(
        histogram.p50.item(group), histogram.p95.item(group), histogram.p99.item(group), histogram.max.item(group)
    )
