"""The counters: what was recorded, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from types import MappingProxyType
from typing import NamedTuple


class Stats(NamedTuple):
    """A moment's counters, in checkpoints: `recorded == delivered + pending + dropped`."""

    recorded: int
    delivered: int
    pending: int
    dropped_by: Mapping[str, int]
    """What was dropped, by cause: `points` (too many distinct ones), `outbox` (too many bytes undelivered),
    `rejected` (the intake refused them), `shutdown` (not delivered by the deadline), `encoding` or `counting` (an error
    of ours)."""
    malformed: int = 0
    """Values that a client, a message or a call handed over and that could not be used: contexts, offsets, times,
    names."""
    not_propagated: int = 0
    """Produced messages that could not carry a context."""
    errors: int = 0
    """Exceptions of our own that were kept from the program."""

    @property
    def dropped(self) -> int:
        """All that was dropped, whatever the cause."""
        return sum(self.dropped_by.values())


class Counters:
    """Counters that any thread may change; each change leaves the balance even."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._recorded = self._delivered = self._pending = 0
        self._dropped: dict[str, int] = {}
        self._noted: dict[str, int] = {"malformed": 0, "not_propagated": 0, "errors": 0}

    def record(self, count: int) -> None:
        """Count checkpoints that now wait for delivery."""
        with self._lock:
            self._recorded += count
            self._pending += count

    def deliver(self, count: int) -> None:
        """Count waiting checkpoints as delivered."""
        with self._lock:
            self._pending -= count
            self._delivered += count

    def drop(self, cause: str, count: int) -> None:
        """Count waiting checkpoints as lost."""
        if not count:
            return
        with self._lock:
            self._pending -= count
            self._dropped[cause] = self._dropped.get(cause, 0) + count

    def increment(self, what: str, times: int = 1) -> None:
        """Count something that is worth knowing and loses nothing: a field of Stats."""
        with self._lock:
            self._noted[what] += times

    def snapshot(self, waiting: int = 0) -> Stats:
        """Return the counters, with `waiting` checkpoints that were made and not counted yet."""
        with self._lock:
            return Stats(
                self._recorded + waiting,
                self._delivered,
                self._pending + waiting,
                MappingProxyType(dict(self._dropped)),
                **self._noted,
            )
