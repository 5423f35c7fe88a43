"""The outbox: a queue of payloads that wait for delivery. It is bounded in bytes, and counts what it drops."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import NamedTuple

from asyncdsm._internal.log import pluralize, warn_each_minute
from asyncdsm.core.counters import Counters


class Parcel(NamedTuple):
    """One encoded payload, and the number of checkpoints in it."""

    payload: bytes
    checkpoints: int


class Outbox:
    """A first-in, first-out queue. Any thread may enqueue; one task dequeues."""

    def __init__(
        self, limit_bytes: int, counters: Counters, unit: str = "checkpoint", *, is_cumulative: bool = False
    ) -> None:
        """Hold at most `limit_bytes` of payloads; count drops in `counters`. `unit` names what is counted.

        `is_cumulative` says that each payload repeats what those before it say: a dropped one loses nothing, as long as
        there is a later one.
        """
        self._is_cumulative = is_cumulative
        self.unit: str = unit
        self._limit, self._counters = limit_bytes, counters
        self._parcels: deque[Parcel] = deque()
        self._bytes = 0
        self._refused = 0  # checkpoints of refused cumulative payloads, for the next one
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._parcels)

    @property
    def size(self) -> int:
        """The total length of the waiting payloads, in bytes."""
        return self._bytes

    def enqueue(self, parcel: Parcel) -> int:
        """Append the newest parcel; return how many checkpoints were dropped to make room."""
        with self._lock:
            parcel = parcel._replace(checkpoints=parcel.checkpoints + self._refused)
            self._refused = 0
            self._parcels.append(parcel)
            return self._drop_excess(len(parcel.payload))

    def dequeue(self) -> Parcel | None:
        """Remove and return the oldest parcel, None if there is none."""
        with self._lock:
            if not self._parcels:
                return None
            parcel = self._parcels.popleft()
            self._bytes -= len(parcel.payload)
            return parcel

    def requeue(self, parcel: Parcel) -> int:
        """Put a parcel that was not delivered back to the front; return how many checkpoints were dropped."""
        with self._lock:
            self._parcels.appendleft(parcel)
            return self._drop_excess(len(parcel.payload))

    def pass_on_refused(self, checkpoints: int) -> bool:
        """Count the checkpoints of a refused payload to the next one, if that repeats them; return whether it does."""
        if not self._is_cumulative:
            return False
        with self._lock:
            if self._parcels:
                following = self._parcels[0]
                self._parcels[0] = following._replace(checkpoints=following.checkpoints + checkpoints)
            else:
                self._refused += checkpoints
        return True

    def drop_all(self, cause: str) -> int:
        """Drop all parcels, counted under this cause; return how many checkpoints were in them.

        Those of refused payloads that no later one repeats are counted as `rejected`.
        """
        with self._lock:
            dropped, self._refused = self._refused, 0
        self._counters.drop("rejected", dropped)
        while (parcel := self.dequeue()) is not None:
            self._counters.drop(cause, parcel.checkpoints)
            dropped += parcel.checkpoints
        return dropped

    def _drop_excess(self, added_bytes: int) -> int:
        self._bytes += added_bytes
        dropped = 0
        while self._bytes > self._limit:
            oldest = self._parcels.popleft()
            self._bytes -= len(oldest.payload)
            if self._is_cumulative and self._parcels:
                following = self._parcels[0]
                self._parcels[0] = following._replace(checkpoints=following.checkpoints + oldest.checkpoints)
                continue
            self._counters.drop("outbox", oldest.checkpoints)
            dropped += oldest.checkpoints
        return dropped


def warn_of_full_outbox(outbox: Outbox, dropped: int) -> None:
    """Warn, once a minute, that an outbox dropped this much because it is full. 0 logs nothing."""
    if dropped:
        message = "asyncdsm dropped the oldest %s, because its outbox is full"
        warn_each_minute("outbox", message, pluralize(dropped, outbox.unit))
