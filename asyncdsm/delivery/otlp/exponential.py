"""Exponential histograms of OpenTelemetry, made from the bins of `core.histogram`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import ceil, log2
from typing import NamedTuple

from asyncdsm.core.histogram import ZERO, bin_value

SCALE = 5
"""Buckets are 2.2 % wide, and no quantile is off by more than 1.8 %."""
MOST_BUCKETS = 320
"""If a histogram spans more buckets, pairs of them are merged, which halves its resolution."""


class Buckets(NamedTuple):
    """The positive buckets of one data point: bucket `offset + i` has `counts[i]`, and base is 2 ** (2 ** -scale)."""

    scale: int
    offset: int
    counts: list[int]


class ExponentialHistogram:
    """Counts of values that are not negative, by their bucket at scale 5."""

    __slots__ = ("_counts", "count", "sum", "zero_count")

    def __init__(self) -> None:
        self.count: int = 0
        self.sum: float = 0.0
        """The sum of all values, each taken as the middle of its bin: exact within 0.8 %."""
        self.zero_count: int = 0
        self._counts: dict[int, int] = {}

    def add_bins(self, bins: Mapping[int, int]) -> None:
        """Add the counts of a sketch by their bin (`histogram.bin_index`)."""
        counts = self._counts
        for bin_, count in bins.items():
            self.count += count
            if bin_ == ZERO:
                self.zero_count += count
                continue
            index, value = convert_bin(bin_)
            self.sum += value * count
            counts[index] = counts.get(index, 0) + count

    def buckets(self) -> Buckets:
        """Return the positive buckets, of the finest scale up to 5 at which there are not too many."""
        if not self._counts:
            return Buckets(SCALE, 0, [])
        lowest, highest, scale = min(self._counts), max(self._counts), SCALE
        while (highest >> (SCALE - scale)) - (lowest >> (SCALE - scale)) >= MOST_BUCKETS:
            scale -= 1
        shift = SCALE - scale
        offset = lowest >> shift
        counts = [0] * ((highest >> shift) - offset + 1)
        for index, count in self._counts.items():
            counts[(index >> shift) - offset] += count
        return Buckets(scale, offset, counts)


@lru_cache(8192)
def convert_bin(bin_: int) -> tuple[int, float]:
    """Return the bucket of a bin, and the value in the middle of the bin, which decides that.

    OpenTelemetry's bucket i holds the values above base ** i, up to base ** (i + 1).
    """
    value = bin_value(bin_)
    return ceil(log2(value) * (1 << SCALE)) - 1, value
