"""How much room names take, so that the store is bounded in bytes and not only in numbers."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof

UNIT_BYTES = 512
"""The names of an ordinary point or backlog take less: they weigh 1."""


def bytes_of(names: Iterable[str]) -> int:
    """Return how many bytes names take in memory, or in UTF-8 where that is more."""
    return sum(max(getsizeof(name), len(name.encode())) for name in names)


def weight_of(names: Iterable[str]) -> int:
    """Return what names weigh: 1, and one more for each `UNIT_BYTES`."""
    return 1 + bytes_of(names) // UNIT_BYTES
