"""Caches the sum of all hours of a long time range: they hardly change, and the page asks for them every second."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from threading import Lock

from asyncdsm.agent.store.histograms import unpack
from asyncdsm.agent.store.merger import LabeledHistograms, Merger
from asyncdsm.agent.store.resolutions import Slice

# A larger sum is not cached: 64 MiB.
_MAX_COUNTS = 1 << 22

Key = tuple[Slice, tuple[int, int]]


class HourlyCache:
    """Keeps the last sum of a slice by point, as long as no row of the slice is added or deleted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: Key | None = None
        self._sum = Merger().result()

    def make_key(self, connection: sqlite3.Connection, hours: Slice) -> Key:
        """Return a key that changes as soon as a row of the slice is added or deleted."""
        # Ids of segments only grow: an added or deleted segment changes their number or the highest id.
        query = "SELECT count(*), coalesce(max(id), 0) FROM segments WHERE width = ? AND start >= ? AND start < ?"
        return hours, connection.execute(query, hours).fetchone()

    def lookup(self, key: Key) -> LabeledHistograms | None:
        """Return the sum with this key, if it is cached."""
        with self._lock:
            return self._sum if key == self._key else None

    def merge_segments(self, key: Key, segments: Iterable[tuple[int, bytes]]) -> LabeledHistograms:
        """Return the sum of segments by point, and cache it under their key."""
        merger = Merger()
        for _, data in segments:
            histograms, points = unpack(data)
            merger.add(points, histograms)
        merged = merger.result()
        if len(merged.histograms.keys) <= _MAX_COUNTS:
            with self._lock:
                self._key, self._sum = key, merged
        return merged
