"""Counters: how many checkpoints were recorded, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock
from types import MappingProxyType
from typing import NamedTuple

_NOTED = ("malformed", "not_propagated", "errors", "transactions", "offsets_dropped")
"""The fields of Stats that count events which lose no checkpoint."""


class Stats(NamedTuple):
    """The counters at one moment, in checkpoints: `recorded == delivered + pending + dropped`."""

    recorded: int
    """How many were made: of messages, and of business transactions."""
    delivered: int
    """How many the receiver of the payloads has accepted."""
    pending: int
    """How many wait: for the end of their bucket, or for delivery."""
    dropped_by: Mapping[str, int]
    """How many were dropped, by cause: `points` (too many distinct points), `outbox` (too many bytes undelivered),
    `rejected` (the intake refused them), `shutdown` (not delivered by the deadline), `encoding` (an error of
    asyncdsm), `transactions` (too many of transactions waited), `checkpoint_names` (transactions have more than 254
    names of checkpoints)."""
    malformed: int = 0
    """How many unusable values a client, a message or a call handed over: contexts, offsets, times, names."""
    not_propagated: int = 0
    """How many produced messages could not carry a context."""
    errors: int = 0
    """How many exceptions of asyncdsm were kept from the program."""
    transactions: int = 0
    """How many of those recorded were checkpoints of business transactions (`asyncdsm.track_transaction`)."""
    offsets_dropped: int = 0
    """How many times an offset was dropped, because its bucket had offsets of `max_points` partitions and groups."""

    def __repr__(self) -> str:
        """Leave out what did not happen: nothing dropped, malformed, not propagated or failed."""
        always = {"recorded": self.recorded, "delivered": self.delivered, "pending": self.pending}
        seldom = {"dropped_by": dict(self.dropped_by)} | {name: getattr(self, name) for name in _NOTED}
        shown = always | {name: value for name, value in seldom.items() if value}
        return f"Stats({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def dropped(self) -> int:
        """How many were dropped, for any cause."""
        return sum(self.dropped_by.values())


class Counters:
    """Counters that any thread may change. After each change, recorded is the sum of delivered, pending and dropped."""

    def __init__(self) -> None:
        self._lock = RLock()  # a signal handler may count, or ask for the counters, in the middle of each method
        self._recorded = self._delivered = self._pending = 0
        self._dropped: dict[str, int] = {}
        self._noted: dict[str, int] = dict.fromkeys(_NOTED, 0)

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
            self._dropped.setdefault(cause, 0)
            self._dropped[cause] += count

    def increment(self, what: str, times: int = 1) -> None:
        """Count an event that loses no checkpoint. `what` is a field of Stats."""
        with self._lock:
            self._noted[what] += times

    def to_stats(self, waiting: int = 0) -> Stats:
        """Return the counters, with `waiting` checkpoints that were made and not counted yet."""
        with self._lock:
            return Stats(
                self._recorded + waiting,
                self._delivered,
                self._pending + waiting,
                MappingProxyType(dict(self._dropped)),
                **self._noted,
            )
