"""Where pathways begin: nothing came before, so that a latency of zero is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.store.histograms import SIZE, Histograms, Ints, zero_keys

Bools = NDArray[np.bool_]


class _HasParent(Protocol):
    @property
    def parent(self) -> int: ...


def begins_of(points: Iterable[_HasParent]) -> Bools:
    """Return at which points pathways begin."""
    return np.array([point.parent == 0 for point in points], np.bool_)


def find_starts(groups: Ints, is_zero: Bools, begins: Bools) -> Bools:
    """Return which bins of latencies say nothing: those of zero, in groups where pathways begin.

    One above zero is a latency: a message without a context may have the time at which its broker got it.
    """
    starts: Bools = is_zero & begins[groups]
    return starts


def drop_starts(histograms: Histograms, begins: Bools) -> Histograms:
    """Return histograms without the latencies of zero in groups where pathways begin."""
    zeros = np.flatnonzero(histograms.keys == zero_keys(histograms.keys))
    groups, sketches, values, _ = Histograms(histograms.keys[zeros], histograms.counts[zeros]).bins()
    dropped = zeros[(sketches != SIZE) & find_starts(groups, values == 0.0, begins)]
    return Histograms(np.delete(histograms.keys, dropped), np.delete(histograms.counts, dropped))
