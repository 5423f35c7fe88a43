"""The buckets of native histograms: at scale 5, each is 2.2 % wide. Only buckets that counted something take room.

At scale `s`, bucket `i` counts values above `2 ** ((i - 1) / 2 ** s)` and up to `2 ** (i / 2 ** s)`, as Prometheus
numbers them. The next coarser scale has two buckets in one: `i` becomes `(i + 1) // 2`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.histograms import Floats, Ints

FINEST, COARSEST = 5, -4
ZERO_THRESHOLD = 2.0**-20
"""Values up to this one, a microsecond, are counted as zeros."""
LONGEST = 2.0**30
"""Larger values are counted in the bucket of this one: 34 years, or a gigabyte."""
MOST_BUCKETS = 1 << 20
"""How many buckets are kept, of all series together: 16 MiB. Beyond, all of them are merged to a coarser scale."""
_FEWEST_PENDING = 1 << 16
# A key is the number of a series, followed by the slot of a bucket: 0 counts zeros, then come the buckets by index.
_SLOT_BITS = 11
_SLOTS = 1 << _SLOT_BITS
_LOWEST = -20 << FINEST  # the index of the bucket that ends at ZERO_THRESHOLD


class NativeHistogram(NamedTuple):
    """The buckets of one series that counted something, by ascending index, and the number of zeros."""

    scale: int
    zeros: float
    indexes: Ints
    counts: Floats

    def coarser(self) -> NativeHistogram:
        """Return the same counts at the next coarser scale."""
        indexes = _halve(self.indexes)
        first = np.flatnonzero(np.diff(indexes, prepend=-_SLOTS))
        return NativeHistogram(self.scale - 1, self.zeros, indexes[first], _add_runs(self.counts, first))


EMPTY = NativeHistogram(FINEST, 0.0, np.empty(0, np.int64), np.empty(0))


class NativeBuckets:
    """Counts values by series, which are numbers, and bucket. Not safe for threads."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        """`most` is how many buckets are kept."""
        self._most, self._scale = most, FINEST
        self._keys: Ints = np.empty(0, np.int64)
        self._counts: Floats = np.empty(0)
        self._pending: list[tuple[Ints, Floats]] = []
        self._waiting = 0

    def add(self, series: Ints, values: Floats, counts: Floats) -> None:
        """Count `values[i]`, which must not be negative, `counts[i]` times in `series[i]`."""
        bounded = np.clip(values, ZERO_THRESHOLD, LONGEST)
        indexes = np.ceil(np.log2(bounded) * (1 << FINEST)).astype(np.int64)
        self._pending.append((series << _SLOT_BITS | indexes - _LOWEST, counts))
        self._waiting += len(counts)

    def needs_merge(self) -> bool:
        """Return whether so much was added that it should be merged, which takes as long as it is much."""
        return self._waiting > max(_FEWEST_PENDING, len(self._keys))

    def merge_pending(self, live: Sequence[int] | Ints) -> None:
        """Merge what was added, and forget the series that are not in `live`."""
        if self._pending:
            keys = np.concatenate([self._keys, *(self._at_scale(keys) for keys, _ in self._pending)])
            self._set(keys, np.concatenate([self._counts, *(counts for _, counts in self._pending)]))
            self._pending, self._waiting = [], 0
        kept = np.isin(self._keys >> _SLOT_BITS, live)
        self._keys, self._counts = self._keys[kept], self._counts[kept]
        while len(self._keys) > self._most and self._scale > COARSEST:
            self._scale -= 1
            self._set(_coarser_keys(self._keys, self._scale), self._counts)

    def histograms(self, series: Ints) -> list[NativeHistogram]:
        """Return what each of these series has counted, as of the last `merge_pending`."""
        first = np.searchsorted(self._keys, series << _SLOT_BITS).tolist()
        after = np.searchsorted(self._keys, (series + 1) << _SLOT_BITS).tolist()
        return [self._histogram(begin, end) for begin, end in zip(first, after, strict=True)]

    def _histogram(self, begin: int, end: int) -> NativeHistogram:
        if begin == end:
            return EMPTY
        slots, counts = self._keys[begin:end] & _SLOTS - 1, self._counts[begin:end]
        has_zeros = int(slots[0] == 0)
        zeros = float(counts[0]) if has_zeros else 0.0
        indexes = slots[has_zeros:] + _lowest_at(self._scale)
        return NativeHistogram(self._scale, zeros, indexes, counts[has_zeros:])

    def _at_scale(self, keys: Ints) -> Ints:
        for scale in range(FINEST - 1, self._scale - 1, -1):
            keys = _coarser_keys(keys, scale)
        return keys

    def _set(self, keys: Ints, counts: Floats) -> None:
        """Keep each key once, in ascending order, with the sum of its counts."""
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        self._keys, self._counts = keys[first], _add_runs(counts[order], first)


def _coarser_keys(keys: Ints, scale: int) -> Ints:
    """Return the keys at `scale` of buckets of the next finer one. Slot 0 stays what it is."""
    slots = keys & _SLOTS - 1
    indexes = _halve(slots + _lowest_at(scale + 1))
    coarser: Ints = np.where(slots == 0, keys, keys - slots + indexes - _lowest_at(scale))
    return coarser


def _lowest_at(scale: int) -> int:
    return -(20 << scale) if scale >= 0 else -(20 >> -scale) - 1


def _halve(indexes: Ints) -> Ints:
    return (indexes + 1) >> 1


def _add_runs(counts: Floats, first: Ints) -> Floats:
    """Return the sums of runs of counts, which begin at `first`."""
    return np.add.reduceat(counts, first) if len(first) else counts
