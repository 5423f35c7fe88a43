"""Dicts that remember a bounded number of things, for all threads."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def make_room(known: dict[Any, Any], most: int) -> None:
    """Remove the oldest entries of a dict until it has fewer than `most`. Other threads may change it meanwhile."""
    while len(known) >= most:
        # They did between `iter` and `next`, or have removed the last entry: look again.
        with suppress(RuntimeError, StopIteration):
            known.pop(next(iter(known)), None)
