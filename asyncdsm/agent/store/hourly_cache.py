"""The hours of a long range, added up once: they hardly change, and a page asks for them every second."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from threading import Lock

from asyncdsm.agent.store.histograms import unpack
from asyncdsm.agent.store.merger import Grouped, Merger
from asyncdsm.agent.store.resolutions import Slice

_MOST_CELLS = 1 << 22
"""64 MiB; a sum that is larger is not kept."""


Key = tuple[Slice, tuple[int, int]]


class HourlyCache:
    """Keeps the last sum by point, as long as no row of it comes or goes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: Key | None = None
        self._grouped = Merger().grouped()

    def make_key(self, connection: sqlite3.Connection, piece: Slice) -> Key:
        """Return what is another as soon as a row of the piece comes or goes."""
        # Numbers of segments only grow: whatever was added or deleted, one of the two is another.
        query = "SELECT count(*), coalesce(max(id), 0) FROM segments WHERE width = ? AND start >= ? AND start < ?"
        return piece, connection.execute(query, piece).fetchone()

    def lookup(self, key: Key) -> Grouped | None:
        """Return the sum that is kept under a key."""
        with self._lock:
            return self._grouped if key == self._key else None

    def add_up(self, key: Key, segments: Iterable[tuple[int, bytes]]) -> Grouped:
        """Return the sum of segments by point, and keep it under their key."""
        merger = Merger()
        for _, data in segments:
            cells, points = unpack(data)
            merger.add(points, cells)
        grouped = merger.grouped()
        if len(grouped.cells.keys) <= _MOST_CELLS:
            with self._lock:
                self._key, self._grouped = key, grouped
        return grouped
