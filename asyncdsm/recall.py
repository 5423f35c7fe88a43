"""Consumed messages that have no room for their pathway: it is kept beside them, for the last few thousand.

They take no attribute and no weak reference, as C's objects do. A message of which nothing is kept any more says by
its header where it came from; only when it was consumed, and by whom, is then not known.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncdsm.pathway import Pathway

ROOM = 8192

_Kept = tuple[int, Any, "Pathway"]

_by_id: dict[int, _Kept] = {}
_in_order: list[_Kept | None] = [None] * ROOM
_next = count().__next__


def remember(message: Any, place: Any, pathway: Pathway) -> None:
    """Keep the pathway of a message. Its place on the broker tells it from a later one that gets its id."""
    kept = (id(message), place, pathway)
    at = _next() % ROOM
    oldest, _in_order[at] = _in_order[at], kept
    _by_id[kept[0]] = kept
    if oldest is not None and _by_id.get(oldest[0]) is oldest:
        _by_id.pop(oldest[0], None)


def recall(message: Any, place: Any) -> Pathway | None:
    """Return the pathway of a message that was counted already, None when nothing is kept of it."""
    kept = _by_id.get(id(message))
    return kept[2] if kept is not None and kept[1] == place else None
