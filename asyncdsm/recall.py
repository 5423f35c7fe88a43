"""Consumed messages that have no room for their pathway: it is kept beside them, for the last few thousand.

They take no attribute and no weak reference, as C's objects do. A message of which nothing is kept any more says by
its header where it came from; only when it was consumed, and by whom, is then not known.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncdsm.pathway import Context

ROOM = 8192

_Kept = tuple[int, Any, "Context"]

_by_id: dict[int, _Kept] = {}
_in_order: deque[_Kept] = deque()


def remember(message: Any, place: Any, pathway: Context) -> None:
    """Keep the pathway of a message. Its place on the broker tells it from a later one that gets its id."""
    kept = (id(message), place, pathway)
    _by_id[kept[0]] = kept
    _in_order.append(kept)
    if len(_in_order) > ROOM:
        oldest = _in_order.popleft()
        if _by_id.get(oldest[0]) is oldest:
            _by_id.pop(oldest[0], None)


def recall(message: Any, place: Any) -> Context | None:
    """Return the pathway of a message that was counted already, None when nothing is kept of it."""
    kept = _by_id.get(id(message))
    return kept[2] if kept is not None and kept[1] == place else None
