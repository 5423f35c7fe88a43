"""Payloads that wait for delivery: bounded in bytes, oldest dropped first, every drop counted."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import NamedTuple

from asyncdsm.core.counters import Counters


class Parcel(NamedTuple):
    """One payload, and how many checkpoints are in it."""

    payload: bytes
    checkpoints: int


class Outbox:
    """First in, first out. Any thread may put; one task takes."""

    def __init__(self, limit_bytes: int, counters: Counters) -> None:
        self._limit, self._counters = limit_bytes, counters
        self._parcels: deque[Parcel] = deque()
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._parcels)

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._bytes

    def enqueue(self, parcel: Parcel) -> int:
        """Add the newest parcel; return how many checkpoints were dropped to make room."""
        with self._lock:
            self._parcels.append(parcel)
            return self._trim(len(parcel.payload))

    def dequeue(self) -> Parcel | None:
        """Take the oldest parcel out, to deliver it or to put it back."""
        with self._lock:
            if not self._parcels:
                return None
            parcel = self._parcels.popleft()
            self._bytes -= len(parcel.payload)
            return parcel

    def requeue(self, parcel: Parcel) -> int:
        """Return a parcel that was not delivered to the front; return how many checkpoints were dropped."""
        with self._lock:
            self._parcels.appendleft(parcel)
            return self._trim(len(parcel.payload))

    def drop_all(self, cause: str) -> int:
        """Give up on everything; return how many checkpoints that were."""
        dropped = 0
        while (parcel := self.dequeue()) is not None:
            self._counters.drop(cause, parcel.checkpoints)
            dropped += parcel.checkpoints
        return dropped

    def _trim(self, added: int) -> int:
        self._bytes += added
        dropped = 0
        while self._bytes > self._limit:
            oldest = self._parcels.popleft()
            self._bytes -= len(oldest.payload)
            self._counters.drop("outbox", oldest.checkpoints)
            dropped += oldest.checkpoints
        return dropped
