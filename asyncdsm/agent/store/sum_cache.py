"""Keeps sums of slices: pages ask for them every second, and most of them rarely change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.histograms import EMPTY
from asyncdsm.agent.store.merger import LabeledHistograms
from asyncdsm.agent.store.packed_histograms import flatten, unflatten
from asyncdsm.agent.store.resolutions import Slice

S = TypeVar("S", EdgeSums, LabeledHistograms)
V = TypeVar("V", bound=Hashable)


@dataclass(frozen=True, slots=True)
class KeptSum(Generic[S, V]):
    """A sum that is kept, as bytes: two for each count."""

    version: V
    without_histograms: S
    data: bytes

    def restore(self) -> S:
        """Return the sum."""
        return self.without_histograms._replace(histograms=unflatten(self.data)[0])

    @property
    def used_bytes(self) -> int:
        """How many bytes it takes."""
        return len(self.data) + sum(each.nbytes for each in self.without_histograms if isinstance(each, np.ndarray))


class SumCache(Generic[S, V]):
    """Keeps the sums that were used last, one of each slice. Any thread may use it."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes` is how many bytes all sums together take at most."""
        self._most_bytes, self._lock = most_bytes, Lock()
        self._sums: OrderedDict[Slice, KeptSum[S, V]] = OrderedDict()
        self._bytes = 0

    def lookup(self, rows: Slice) -> KeptSum[S, V] | None:
        """Return the sum of a slice, whatever its version; None if none is kept."""
        with self._lock:
            kept = self._sums.get(rows)
            if kept is not None:
                self._sums.move_to_end(rows)
            return kept

    def find_sum(self, rows: Slice, version: V) -> S | None:
        """Return the sum of a slice if one of this version is kept."""
        kept = self.lookup(rows)
        return kept.restore() if kept is not None and kept.version == version else None

    def keep_sum(self, rows: Slice, version: V, sums: S) -> None:
        """Keep the sum of a slice, whose histograms come from `merge`."""
        kept = KeptSum(version, sums._replace(histograms=EMPTY), flatten(sums.histograms, sums.labels))
        with self._lock:
            before = self._sums.pop(rows, None)
            self._bytes += kept.used_bytes - (before.used_bytes if before is not None else 0)
            self._sums[rows] = kept
            while self._bytes > self._most_bytes:
                _, oldest = self._sums.popitem(last=False)
                self._bytes -= oldest.used_bytes
