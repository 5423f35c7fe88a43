"""When a hop became slower or faster: found in its latencies over the last minutes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt
from statistics import median
from typing import Literal, NamedTuple

from asyncdsm.map.levels import LOWEST_LIMIT, level_of

FACTOR = 3.0
"""Latencies that differ by less than this factor count as equal. It is half a level, which is a factor of ten."""
SLOTS_BEFORE = 6
"""How many slots before a change say what the hop was like before."""
SLOWEST_CHANGE = 1.2
"""By which factor a slow change goes on within as many slots: what is slower still counts as steady."""


class Slot(NamedTuple):
    """How slow a hop was in the slot of time that begins at `start` (seconds since the epoch)."""

    start: int
    slowness: float
    p50: float


class Change(NamedTuple):
    """Since when a hop is as slow as it is now (seconds since the epoch), and what it was before (seconds).

    `is_return` says that it is as it was before the change before: it is back to normal.
    """

    since: int
    slowness: float
    p50: float
    is_return: bool = False


def last_change(slots: Sequence[Slot]) -> Change | None:
    """Return the last change in slots that are in the order of time; None if nothing changed.

    A change counts when two slots in a row agree: a single slot that differs is an outlier, not a change. It began when
    the hop left the level that it had before. If it gets slower and slower, that level is the one before all of this.
    """
    levels = [max(slot.slowness, LOWEST_LIMIT) for slot in slots]
    if len(levels) < 2 or not _are_alike(levels[-1], levels[-2]):
        return None
    place = len(levels) - _count_newest(levels, lambda level: _are_alike(levels[-1], level))
    if place == 0:
        return None
    place = _find_end_of_level(levels, place)
    before = slots[max(0, place - SLOTS_BEFORE) : place]
    slowness, p50 = median(slot.slowness for slot in before), median(slot.p50 for slot in before)
    level, is_slower = max(slowness, LOWEST_LIMIT), levels[-1] > slowness
    length = _count_newest(levels, lambda each: _has_left(level, each, is_slower=is_slower))
    return Change(slots[-max(length, 1)].start, slowness, p50, _is_return(levels, place, level))


def begin_of_change(slots: Sequence[Slot], change: Change) -> int:
    """Return when a change began, from finer slots around its `since`; that itself if they do not show it."""
    levels, level = [max(slot.slowness, LOWEST_LIMIT) for slot in slots], max(change.slowness, LOWEST_LIMIT)
    length = _count_newest(levels, lambda each: _has_left(level, each, is_slower=levels[-1] > level))
    return slots[-length].start if length else change.since


def state_of(slowness: float, change: Change | None) -> Literal["steady", "slower", "faster"]:
    """Return `slower` or `faster` for a hop that changed and is this slow now (seconds), `steady` for all others.

    A hop is faster only if its level fell: one that has outliers again and again keeps the color that it had before.
    One that is back to normal is steady.
    """
    if change is None:
        return "steady"
    if slowness > change.slowness:
        return "slower"
    if change.is_return:
        return "steady"
    return "faster" if level_of(slowness) < level_of(change.slowness) else "steady"


def _count_newest(levels: Sequence[float], belongs: Callable[[float], bool]) -> int:
    """Return how many levels, from the newest on, belong together; single outliers between them are skipped."""
    length = 0
    for place, level in enumerate(reversed(levels)):
        if belongs(level):
            length = place + 1
        elif place > length:  # the second one in a row that differs
            break
    return length


def _find_end_of_level(levels: Sequence[float], place: int) -> int:
    """Return up to which place levels were steady: `place`, or where a slow change that leads to it began."""
    is_rising, end = levels[-1] > levels[place - 1], place
    while end > SLOTS_BEFORE + SLOTS_BEFORE // 2:
        middle = end - SLOTS_BEFORE
        earlier, later = median(levels[max(0, middle - SLOTS_BEFORE) : middle]), median(levels[middle:end])
        if (later / earlier if is_rising else earlier / later) < SLOWEST_CHANGE:
            return place if end == place else middle
        end -= 1
    return end


def _is_return(levels: Sequence[float], place: int, level: float) -> bool:
    """Return whether the newest level is the one before the `level` that ended at a place."""
    ended = levels[:place]
    before = ended[: place - _count_newest(ended, lambda each: _are_alike(level, each))]
    return len(before) > 1 and _are_alike(levels[-1], median(before[-SLOTS_BEFORE:]))


def _has_left(level: float, other: float, *, is_slower: bool) -> bool:
    return (other / level if is_slower else level / other) >= sqrt(FACTOR)


def _are_alike(one: float, other: float) -> bool:
    low, high = sorted((one, other))
    return high < low * FACTOR
