"""Histograms of many points at once: all counts in two arrays, so that merging and reading them takes few steps.

A point has three histograms (`EDGE`, `PATHWAY` and `SIZE`). A *cell* is one bin of one of them, a number of 19 bits. A
*group* is whatever the caller counts separately: a point, an edge, a step of time. A *key* is the number of a group,
followed by the 19 bits of the cell. `Histograms` are keys and the count of each. A key may occur several times until
`merge` adds its counts up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asyncdsm.core.histogram import GAMMA, OFFSET, ZERO

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EDGE, PATHWAY, SIZE = 0, 1, 2
LARGEST_BIN = 47_000
"""The largest bin, and the negative of the smallest one, that `delivery.sketch` accepts."""
CELL_BITS = 19
_BIN_BITS = 17
_CELL, _BINS = (1 << CELL_BITS) - 1, (1 << _BIN_BITS) - 1
# The bin that counts zeros: below every other bin, like `ZERO`, but close enough to them for 17 bits.
_ZERO_AT = -LARGEST_BIN - 1
# A table in which counts are added up is not larger than this (64 MiB). Several tables, one after the other, are faster
# than sorting the keys, unless nearly all of their cells stay empty: the map of 10,000 points took three times as long.
_MAX_TABLE_CELLS = 1 << 23
_MAX_CELLS_PER_COUNT = 32
# How many counts are added at a time, so that they stay in the cache of the processor.
_CACHED_CELLS = 1 << 14


class Histograms(NamedTuple):
    """The counts of many groups: `counts[i]` values are in the cell of the group that `keys[i]` names."""

    keys: Ints
    counts: Floats

    @property
    def groups(self) -> Ints:
        """The group of each count."""
        return self.keys >> CELL_BITS

    @property
    def cells(self) -> Ints:
        """The cell of each count."""
        return self.keys & _CELL

    def shift_groups(self, by: int) -> Histograms:
        """Return the same counts with `by` added to the number of each group."""
        return Histograms(self.keys + (by << CELL_BITS), self.counts)

    def relabel(self, group_of: Ints) -> Histograms:
        """Return the same counts with other groups: group `g` becomes `group_of[g]`."""
        return Histograms(group_of[self.groups] << CELL_BITS | self.keys & _CELL, self.counts)

    def select_groups(self, wanted: NDArray[np.bool_]) -> Histograms:
        """Return the counts of each group `g` for which `wanted[g]` is true."""
        chosen = wanted[self.groups]
        return Histograms(self.keys[chosen], self.counts[chosen])

    def select_sketch(self, sketch: int) -> Histograms:
        """Return the counts of one of the three histograms: `EDGE`, `PATHWAY` or `SIZE`."""
        chosen = (self.keys >> _BIN_BITS & 3) == sketch
        return Histograms(self.keys[chosen], self.counts[chosen])

    def bins(self) -> tuple[Ints, Ints, Floats, Floats]:
        """Return the group, the histogram (`EDGE`, `PATHWAY` or `SIZE`), the value and the count of each bin.

        A value is the middle of its bin, in seconds or bytes, and accurate within 0.8 %.
        """
        bins = (self.keys & _BINS) + _ZERO_AT
        with np.errstate(over="ignore", under="ignore"):
            values = np.where(bins == _ZERO_AT, 0.0, GAMMA ** (bins - OFFSET) * 2 * GAMMA / (1 + GAMMA))
        return self.groups, self.keys >> _BIN_BITS & 3, values, self.counts


EMPTY = Histograms(np.empty(0, np.int64), np.empty(0, np.float64))


def encode_key(group: int, sketch: int, bin_: int) -> int:
    """Return the key of a bin, which may be `ZERO`, in one of the three histograms of a group."""
    return (group << 2 | sketch) << _BIN_BITS | (bin_ if bin_ != ZERO else _ZERO_AT) - _ZERO_AT


def decode_key(key: int) -> tuple[int, int, int]:
    """Return what `encode_key` was given: group, histogram and bin."""
    bin_ = (key & _BINS) + _ZERO_AT
    return key >> CELL_BITS, key >> _BIN_BITS & 3, bin_ if bin_ != _ZERO_AT else ZERO


def zero_keys(keys: Ints) -> Ints:
    """Return the keys of the bins `ZERO` in the histograms to which keys belong."""
    return keys & ~_BINS


def concat(parts: Iterable[Histograms]) -> Histograms:
    """Return the keys and counts of all parts, one part after the other."""
    listed = [part for part in parts if len(part.keys)]
    if len(listed) < 2:
        return listed[0] if listed else EMPTY
    return Histograms(np.concatenate([part.keys for part in listed]), np.concatenate([part.counts for part in listed]))


def merge(*parts: Histograms) -> Histograms:
    """Return each key of all parts once, in ascending order, with the sum of its counts."""
    parts = tuple(part for part in parts if len(part.keys))
    if not parts:
        return EMPTY
    used = np.zeros(_CELL + 1, np.bool_)
    for part in parts:
        used[part.keys & _CELL] = True
    columns = np.flatnonzero(used)
    height = max(int(part.keys.max()) >> CELL_BITS for part in parts) + 1
    cells = height * len(columns)
    if cells <= _MAX_TABLE_CELLS:
        return _merge_in_table(parts, columns, 0, height)
    if cells > _MAX_CELLS_PER_COUNT * sum(len(part.keys) for part in parts):
        return _merge_by_sorting(concat(parts))
    rows = max(1, _MAX_TABLE_CELLS // len(columns))
    firsts = np.arange(0, height + rows, rows)
    tables = zip(*(_split(part, firsts << CELL_BITS) for part in parts), strict=True)
    return concat(
        _merge_in_table(pieces, columns, first, rows) for pieces, first in zip(tables, firsts.tolist(), strict=False)
    )


def _split(part: Histograms, bounds: Ints) -> Iterator[Histograms]:
    """Yield the counts between each two bounds of keys."""
    if (part.keys[1:] < part.keys[:-1]).any():
        order = np.argsort(part.keys)
        part = Histograms(part.keys[order], part.counts[order])
    for begin, end in pairwise(np.searchsorted(part.keys, bounds).tolist()):
        yield Histograms(part.keys[begin:end], part.counts[begin:end])


def _merge_in_table(parts: Iterable[Histograms], columns: Ints, first: int, height: int) -> Histograms:
    """Merge the groups from `first` on, `height` in number, in a table with a column for each cell that is used."""
    width = len(columns)
    place = np.zeros(_CELL + 1, np.int64)
    place[columns] = np.arange(width)
    sums = np.zeros(height * width)
    for part in parts:
        for begin in range(0, len(part.keys), _CACHED_CELLS):
            keys, counts = part.keys[begin : begin + _CACHED_CELLS], part.counts[begin : begin + _CACHED_CELLS]
            np.add.at(sums, ((keys >> CELL_BITS) - first) * width + place[keys & _CELL], counts)
    at = np.flatnonzero(sums != 0)
    group, column = np.divmod(at, width)
    return Histograms(group + first << CELL_BITS | columns[column], sums[at])


def _merge_by_sorting(histograms: Histograms) -> Histograms:
    order = np.argsort(histograms.keys)
    keys = histograms.keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return Histograms(keys[first], np.add.reduceat(histograms.counts[order], first))


class Quantiles(NamedTuple):
    """Quantiles, mean, maximum and counts of one histogram of each group, one array element per group.

    An empty histogram has the quantiles, mean and maximum NaN.
    """

    counts: Floats
    zeros: Floats
    mean: Floats
    p50: Floats
    p95: Floats
    p99: Floats
    max: Floats

    def stats(self, group: int) -> dict[str, float | None]:
        """Return p50, p95, p99 and max of one group; they are None if its histogram is empty."""
        if not self.counts[group]:
            return {"p50": None, "p95": None, "p99": None, "max": None}
        return {
            "p50": float(self.p50[group]),
            "p95": float(self.p95[group]),
            "p99": float(self.p99[group]),
            "max": float(self.max[group]),
        }


def quantiles(histograms: Histograms, groups: int, sketch: int) -> Quantiles:
    """Return the quantiles of one histogram (`EDGE`, `PATHWAY` or `SIZE`) for each group below `groups`.

    `histograms` must come from `merge`. Quantiles are accurate within 0.8 %.
    """
    group, _, values, counts = histograms.select_sketch(sketch).bins()
    count = sum_by_group(group, counts, groups)
    total = sum_by_group(group, counts * values, groups)
    zeros = sum_by_group(group, np.where(values == 0.0, counts, 0.0), groups)
    empty = count == 0
    first = np.searchsorted(group, np.arange(groups), "left")
    last = np.maximum(np.searchsorted(group, np.arange(groups), "right") - 1, 0)
    below = _running_sums(counts, group, first)

    def at(fraction: float) -> Floats:
        rank = fraction * np.maximum(count - 1, 0)
        found = first + sum_by_group(group, below <= rank[group], groups).astype(np.int64)
        return np.where(empty, np.nan, values[np.minimum(found, last)] if len(values) else np.nan)

    most = np.where(empty, np.nan, values[last] if len(values) else np.nan)
    mean = np.divide(total, count, out=np.full(groups, np.nan), where=~empty)
    return Quantiles(count, zeros, mean, at(0.5), at(0.95), at(0.99), most)


def sum_by_group(group: Ints, weights: NDArray[np.float64 | np.bool_], groups: int) -> Floats:
    """Return the sum of the weights in each of the groups below `groups`; `group` has the group of each weight."""
    return np.bincount(group, weights, groups).astype(np.float64, copy=False)


def _running_sums(counts: Floats, group: Ints, first: Ints) -> Floats:
    """Return the running sum within each group."""
    running = np.cumsum(counts)
    if not len(counts) or running[-1] < 1 << 53:  # exact so far
        before: Floats = np.concatenate([np.zeros(1), running])[first][group]
        return running - before
    return np.concatenate([np.cumsum(part) for part in np.split(counts, first[1:])])
