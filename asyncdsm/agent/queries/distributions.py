"""Latency distributions that can be added: how long two hops take together, if they do not depend on each other.

Values are in the bins of histograms. Bins are logarithmic, so the sum of two values `a` and `b`, `d` bins apart, is
`log(1 + GAMMA ** -d)` above the larger one, in bins: a number that depends on `d` only and comes from a table.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.histograms import LARGEST_BIN, Floats, Histograms, Ints, encode_key, sum_by_group
from asyncdsm.core.histogram import GAMMA, MULTIPLIER

MOST_BINS = 512
"""A distribution with more bins is made coarser before it is added to another one: three decades have 446."""
_ZERO_BIN = -LARGEST_BIN - 1  # as in the keys of histograms
# From this distance on, the smaller value adds less than a thousandth of a bin.
_FARTHEST = 720
_ADDED_BINS = np.append(np.log1p(GAMMA ** -np.arange(_FARTHEST, dtype=np.float64)) * MULTIPLIER, 0.0)


class Distribution(NamedTuple):
    """The share of values in each bin; bins ascend, shares are above 0 and add up to 1."""

    bins: Ints
    shares: Floats

    def add(self, other: Distribution) -> Distribution:
        """Return the distribution of the sum of two independent values, one of each distribution.

        A distribution without any bins adds nothing.
        """
        if not len(self.bins) or not len(other.bins):
            return self if len(self.bins) else other
        one, two = _coarsen(self), _coarsen(other)
        larger = np.maximum.outer(one.bins, two.bins)
        distance = np.abs(np.subtract.outer(one.bins, two.bins))
        added = np.where(larger == _ZERO_BIN, 0.0, _ADDED_BINS[np.minimum(distance, _FARTHEST)])
        # A sum between two bins is counted in both, in proportion: so small values do not vanish beside large ones.
        whole = np.floor(added)
        shares, part = np.multiply.outer(one.shares, two.shares), added - whole
        places = (larger - larger.min() + whole).astype(np.int64).ravel()
        length = int(places.max()) + 2
        sums = sum_by_group(places, (shares * (1 - part)).ravel(), length)
        sums += sum_by_group(places + 1, (shares * part).ravel(), length)
        found = np.flatnonzero(sums)
        return Distribution(np.minimum(found + larger.min(), LARGEST_BIN), sums[found])

    def to_histograms(self, group: int, sketch: int, count: float) -> Histograms:
        """Return `count` values as one of the three histograms of a group. It may name a bin twice, until `merge`."""
        return Histograms(self.bins + encode_key(group, sketch, 0), self.shares * count)


def distribution_of(histograms: Histograms, group: int, sketch: int) -> Distribution:
    """Return the distribution of one histogram of merged histograms; without any bins if nothing was counted."""
    origin = encode_key(group, sketch, 0)
    first, last = np.searchsorted(histograms.keys, (origin + _ZERO_BIN, origin + LARGEST_BIN + 1))
    counts = histograms.counts[first:last]
    return Distribution(histograms.keys[first:last] - origin, counts / counts.sum() if len(counts) else counts)


def _coarsen(distribution: Distribution) -> Distribution:
    """Return a distribution with at most `MOST_BINS` bins: neighbors share the bin that is in their middle.

    The first bin, which may be that of zero, stays by itself.
    """
    bins, shares = distribution
    if len(bins) <= MOST_BINS:
        return distribution
    places = np.arange(len(bins)) * (MOST_BINS - 1) // len(bins) + 1
    places[0] = 0
    sums = sum_by_group(places, shares, MOST_BINS)
    middle = np.rint(sum_by_group(places, shares * bins, MOST_BINS) / sums).astype(np.int64)
    return Distribution(middle, sums)
