"""A mapping that forgets: it keeps the newest entries, and never more than its size."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """At most `most` entries, and at least the newest half of that. From any thread: every step leaves it whole."""

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._newer: dict[Key, Value] = {}
        self._older: dict[Key, Value] = {}

    def keep(self, key: Key, value: Value) -> None:
        """Keep a value. When half of the room is full, the older half goes."""
        if len(self._newer) >= self._half:
            self._newer, self._older = {}, self._newer
        self._newer[key] = value

    def find(self, key: Key) -> Value | None:
        """Return the value that is kept for a key, None without one."""
        return self._newer.get(key) or self._older.get(key)
