"""When a hop became slower or faster: found in its latencies over the last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Literal, NamedTuple

from asyncdsm.map.levels import LOWEST_LIMIT, level_of

FACTOR = 3.0
"""Latencies that differ by less than this factor count as equal. It is half a level, which is a factor of ten."""
SLOTS_BEFORE = 6
"""How many slots before a change say what the hop was like before."""


class Slot(NamedTuple):
    """How slow a hop was in the slot of time that begins at `start` (seconds since the epoch)."""

    start: int
    slowness: float
    p50: float


class Change(NamedTuple):
    """Since when a hop is as slow as it is now (seconds since the epoch), and what it was before (seconds)."""

    since: int
    slowness: float
    p50: float


def last_change(slots: Sequence[Slot]) -> Change | None:
    """Return the last change in slots that are in the order of time; None if nothing changed.

    A change counts when two slots in a row agree: a single slot that differs is an outlier, not a change.
    """
    newest_first = slots[::-1]
    if len(newest_first) < 2 or not _are_alike(newest_first[0], newest_first[1]):
        return None
    length = _length_of_run(newest_first)
    before = newest_first[length : length + SLOTS_BEFORE]
    if not before:
        return None
    slowness, p50 = median(slot.slowness for slot in before), median(slot.p50 for slot in before)
    return Change(newest_first[length - 1].start, slowness, p50)


def state_of(slowness: float, change: Change | None) -> Literal["steady", "slower", "faster"]:
    """Return `slower` or `faster` for a hop that changed and is this slow now (seconds), `steady` for all others.

    A hop is faster only if its level fell: one that has outliers again and again keeps the color that it had before.
    """
    if change is None:
        return "steady"
    if slowness > change.slowness:
        return "slower"
    return "faster" if level_of(slowness) < level_of(change.slowness) else "steady"


def _length_of_run(newest_first: Sequence[Slot]) -> int:
    """Return how many slots, from the newest on, are like the newest; single outliers between them are skipped."""
    now, length = newest_first[0], 0
    for place, slot in enumerate(newest_first):
        if _are_alike(now, slot):
            length = place + 1
        elif place > length:  # the second one in a row that differs
            break
    return length


def _are_alike(one: Slot, other: Slot) -> bool:
    low, high = sorted((max(one.slowness, LOWEST_LIMIT), max(other.slowness, LOWEST_LIMIT)))
    return high < low * FACTOR
