"""What the parts of the store share: its file, what is pending in memory, and the lock around both."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import sleep
from typing import NamedTuple

from asyncdsm.agent.store.file import StoreFile, add_to_counters, add_to_shares
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.offsets import Latest, Tags
from asyncdsm.agent.store.pending import Pending
from asyncdsm.agent.store.registry import PointRegistry
from asyncdsm.agent.store.rollup import Coverages

PAUSE_SECONDS = 0.001


class Change(NamedTuple):
    """What one transaction changes besides segments; in force once it is committed."""

    connection: sqlite3.Connection
    extents: Coverages
    counted: Counter[str]
    rows: Counter[int]
    """How many rows each service has more, or fewer, by its number."""


class Core:
    """Hold `lock` for as short as can be: whoever reports or looks waits for it. `upkeep_lock` comes before it.

    Whoever writes segments holds `upkeep_lock`, for as long as that takes.
    """

    def __init__(self, file: StoreFile, points: PointRegistry, latest: Latest) -> None:
        """Read what the file has. Raises sqlite3.Error."""
        self.lock: Lock = Lock()
        self.upkeep_lock: Lock = Lock()
        self.file: StoreFile = file
        self.points: PointRegistry = points
        self.latest: Latest = latest
        file.load_points(points)
        self.extents: Coverages = file.extents()
        self.counted: Counter[str] = Counter(file.counters())
        self.rows: Counter[int] = Counter(file.shares())
        self.pending: Pending = Pending(file.last_start(), latest)
        self.writing: Pending | None = None
        """What is being written to the file's segments, and is not in them yet."""

    @property
    def unwritten(self) -> list[Pending]:
        """Return what is in memory and not in segments, the oldest first."""
        return [pending for pending in (self.writing, self.pending) if pending is not None]

    def unwritten_rows(self) -> list[Rows]:
        """Return the same as rows."""
        return [pending.rows() for pending in self.unwritten]

    def unwritten_offsets(self) -> dict[tuple[Tags, int], int]:
        """Return the offsets that are not in the file yet."""
        found: dict[tuple[Tags, int], int] = {}
        for pending in self.unwritten:
            for at, value in pending.offsets.items():
                found[at] = max(value, found.get(at, value))
        return found

    @contextmanager
    def transaction(self) -> Iterator[Change]:
        """Change the file inside the block, or nothing of it. Hold `lock`. Raises sqlite3.Error."""
        with self.file.transaction() as connection:
            change = Change(connection, dict(self.extents), Counter(), Counter())
            yield change
            change.counted["rows"] += change.rows.total()
            add_to_counters(connection, change.counted)
            add_to_shares(connection, change.rows)
        self.extents = change.extents
        self.counted.update(change.counted)
        self.rows.update(change.rows)

    @contextmanager
    def step(self) -> Iterator[Change]:
        """Change the file inside the block, with the lock held, and then let others have it. Raises sqlite3.Error."""
        with self.lock, self.transaction() as change:
            yield change
        self.pause()

    def pause(self) -> None:
        """Let whoever waits for the lock have it: one that is taken again at once goes to nobody else."""
        sleep(PAUSE_SECONDS)
