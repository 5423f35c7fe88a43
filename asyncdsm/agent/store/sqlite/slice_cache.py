"""Caches the sums of rolled-up rows: they change once a minute or less, and pages ask for them every second."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

from asyncdsm.agent.store.merger import LabeledHistograms, Merger
from asyncdsm.agent.store.packed_histograms import pack, unpack
from asyncdsm.agent.store.resolutions import Slice

# All sums together, packed: a sum of 10,000 points is 2 to 6 MB, and unpacked in a tenth of the time that it took.
_MAX_BYTES = 64 << 20

Key = tuple[Slice, tuple[int, int]]


class SliceCache:
    """Keeps the last sums of slices by point, as long as no row of the slice is added or deleted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sums: OrderedDict[Slice, tuple[Key, bytes]] = OrderedDict()

    def make_key(self, connection: sqlite3.Connection, rows: Slice) -> Key:
        """Return a key that changes as soon as a row of the slice is added or deleted."""
        # Ids of segments only grow: an added or deleted segment changes their number or the highest id.
        query = "SELECT count(*), coalesce(max(id), 0) FROM segments WHERE width = ? AND start >= ? AND start < ?"
        return rows, connection.execute(query, rows).fetchone()

    def lookup(self, key: Key) -> LabeledHistograms | None:
        """Return the sum with this key, if it is cached."""
        with self._lock:
            found = self._sums.get(key[0])
            if found is None or found[0] != key:
                return None
            self._sums.move_to_end(key[0])
        histograms, points = unpack(found[1])
        return LabeledHistograms(points, histograms)

    def merge_segments(self, key: Key, segments: Iterable[tuple[int, bytes]]) -> LabeledHistograms:
        """Return the sum of segments by point, and cache it under their key."""
        merger = Merger()
        for _, data in segments:
            histograms, points = unpack(data)
            merger.add(points, histograms)
        merged = merger.result()
        packed = pack(merged.histograms, merged.labels)
        with self._lock:
            self._sums.pop(key[0], None)
            self._sums[key[0]] = key, packed
            while sum(len(kept) for _, kept in self._sums.values()) > _MAX_BYTES:
                self._sums.popitem(last=False)
        return merged
