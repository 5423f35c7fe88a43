"""The hours of a long range, added up once: they hardly change, and a page asks for them every second."""

from __future__ import annotations

import sqlite3
from threading import Lock

from asyncdsm.agent.cells import unpacked
from asyncdsm.agent.levels import Piece
from asyncdsm.agent.merger import Grouped, Merger
from asyncdsm.agent.store_file import segments_of

_MOST_CELLS = 1 << 22
"""64 MiB; a sum that is larger is not kept."""


class Hours:
    """Keeps the last sum by point, as long as no row of it comes or goes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: tuple[Piece, tuple[int, int]] | None = None
        self._grouped = Merger().grouped()

    def by_point(self, connection: sqlite3.Connection, piece: Piece) -> Grouped:
        """Return what was counted in a piece, by point."""
        # Numbers of segments only grow: whatever was added or deleted, one of the two is another.
        query = "SELECT count(*), coalesce(max(id), 0) FROM segments WHERE width = ? AND start >= ? AND start < ?"
        key = piece, connection.execute(query, piece).fetchone()
        with self._lock:
            if key == self._key:
                return self._grouped
        merger = Merger()
        for _, data in segments_of(connection, [piece], None):
            cells, points = unpacked(data)
            merger.add(points, cells)
        grouped = merger.grouped()
        if len(grouped.cells.keys) <= _MOST_CELLS:
            with self._lock:
                self._key, self._grouped = key, grouped
        return grouped
