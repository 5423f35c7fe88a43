"""The events of all partitions, in memory and in SQLite: they survive a SIGKILL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

OFFSET_STEP = 100
"""How far apart the offsets of two events are."""


class Event(NamedTuple):
    """An event in a partition. Its sequence number is its place there."""

    enqueued_ms: int
    body: bytes


class EventLog:
    """What was sent to each partition, such as `orders/0`."""

    def __init__(self, folder: str) -> None:
        self._db = sqlite3.connect(Path(folder, "events.db"), isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")  # a machine that loses power is not tested
        self._db.execute("CREATE TABLE IF NOT EXISTS event (partition TEXT, enqueued_ms INTEGER, body BLOB)")
        self._events = dict[str, list[Event]]()
        for partition, *event in self._db.execute("SELECT partition, enqueued_ms, body FROM event ORDER BY rowid"):
            self.events(partition).append(Event(*event))

    def events(self, partition: str) -> list[Event]:
        """Return the events of a partition, in their order."""
        return self._events.setdefault(partition, [])

    def add(self, partition: str, bodies: list[bytes], now: int) -> None:
        """Store the events of a batch: all of them, or none if the server is killed meanwhile."""
        self._db.execute("BEGIN")
        rows = [(partition, now, body) for body in bodies]
        self._db.executemany("INSERT INTO event VALUES (?, ?, ?)", rows)
        self._db.execute("COMMIT")
        self.events(partition).extend(Event(now, body) for body in bodies)

    def find(self, partition: str, kind: str, value: str, *, is_inclusive: bool) -> int:
        """Return the sequence number of the first event after a position: of an offset, a number or a time."""
        events = self.events(partition)
        if value == "@latest":
            return len(events)
        if kind == "enqueued-time":
            after = (number for number, event in enumerate(events) if event.enqueued_ms > int(value) - is_inclusive)
            return next(after, len(events))
        position = int(value) // OFFSET_STEP if kind == "offset" else int(value)
        return min(max(position + (not is_inclusive), 0), len(events))
