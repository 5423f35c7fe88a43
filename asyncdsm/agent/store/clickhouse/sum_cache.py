"""Caches sums of rows that are rolled up: they rarely change, and pages ask for them every second."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from asyncdsm.agent.store.merger import LabeledHistograms
from asyncdsm.agent.store.packed_histograms import pack, unpack
from asyncdsm.agent.store.resolutions import Slice

MAX_BYTES = 64 << 20
"""All sums together, packed."""


class SumVersion(NamedTuple):
    """What changes as soon as a sum does."""

    rolled: tuple[int, ...]
    """The marks that the roll-up of each of the periods has."""
    forgotten: int
    """How many points were evicted, ever: one that comes again has another number."""


class SumCache:
    """Keeps the last sums of slices by point. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sums: OrderedDict[Slice, tuple[SumVersion, bytes]] = OrderedDict()
        self._bytes = 0

    def find_sum(self, rows: Slice, version: SumVersion) -> LabeledHistograms | None:
        """Return the sum of a slice, if it is cached and of this version."""
        with self._lock:
            found = self._sums.get(rows)
            if found is None or found[0] != version:
                return None
            self._sums.move_to_end(rows)
        histograms, points = unpack(found[1])
        return LabeledHistograms(points, histograms)

    def keep_sum(self, rows: Slice, version: SumVersion, merged: LabeledHistograms) -> None:
        """Keep the sum of a slice."""
        packed = pack(merged.histograms, merged.labels)
        with self._lock:
            _, before = self._sums.pop(rows, (None, b""))
            self._sums[rows] = version, packed
            self._bytes += len(packed) - len(before)
            while self._bytes > MAX_BYTES:
                _, (_, oldest) = self._sums.popitem(last=False)
                self._bytes -= len(oldest)
