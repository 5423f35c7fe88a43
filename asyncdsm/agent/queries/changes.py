"""When a hop became slower or faster: found in its latencies over the last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from statistics import median
from typing import NamedTuple

LEVELS = 6
FACTOR = 3.0
"""Latencies that differ by less than this factor are alike. Half a level, which is a factor of ten."""
LEAST = 1e-3
"""Seconds. Below, all latencies are alike: they have the lowest level."""
COMPARED = 6
"""How many values before a change say what it was before."""


class Slot(NamedTuple):
    """How slow a hop was in the stretch of time from `start` on (seconds since the epoch)."""

    start: int
    slowness: float
    p50: float


class Change(NamedTuple):
    """Since when a hop is as slow as it is now (seconds since the epoch), and what it was before (seconds)."""

    since: int
    slowness: float
    p50: float


def slowness_of(p50: float, p99: float) -> float:
    """Return what decides the colour of a hop: its median, or a tenth of its 99th percentile if that is more."""
    return max(p50, p99 / 10)


def level_of(slowness: float) -> int:
    """Return the level of a slowness in seconds: 0 below 1 ms, one more for each power of ten, 5 from 10 s on."""
    return 0 if slowness < LEAST else min(LEVELS - 1, int(log10(slowness) + 4 + 1e-9))


def last_change(slots: Sequence[Slot]) -> Change | None:
    """Return the last change in slots that are in the order of time; None if nothing changed.

    A change counts when two slots in a row agree: one slot that differs by itself is an outlier, not a change.
    """
    newest_first = slots[::-1]
    if len(newest_first) < 2 or not _alike(newest_first[0], newest_first[1]):
        return None
    length = _length_of_run(newest_first)
    before = newest_first[length : length + COMPARED]
    if not before:
        return None
    slowness, p50 = median(slot.slowness for slot in before), median(slot.p50 for slot in before)
    return Change(newest_first[length - 1].start, slowness, p50)


def state_of(slowness: float, change: Change | None) -> str:
    """Return `slower` or `faster` for a hop that changed and is this slow now (seconds), `steady` for all others.

    A hop is faster only if its level fell: one that has outliers again and again has the color that it had before.
    """
    if change is None:
        return "steady"
    if slowness > change.slowness:
        return "slower"
    return "faster" if level_of(slowness) < level_of(change.slowness) else "steady"


def _length_of_run(newest_first: Sequence[Slot]) -> int:
    """Return how many slots, from the newest on, are like the newest; outliers between them are passed over."""
    now, length = newest_first[0], 0
    for place, slot in enumerate(newest_first):
        if _alike(now, slot):
            length = place + 1
        elif place > length:  # the second one in a row that differs
            break
    return length


def _alike(one: Slot, other: Slot) -> bool:
    low, high = sorted((max(one.slowness, LEAST), max(other.slowness, LEAST)))
    return high < low * FACTOR
