"""What a hop was usually like: where its latencies were about the same for long, in slots of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

from asyncdsm.agent.queries.newest_run import count_newest

FACTOR = 3.0
"""Latencies that differ by less than this factor count as equal. It is half a level, which is a factor of ten."""
LASTING_SECONDS = 300
"""How long a hop must have been about as slow to be usual. What is shorter belongs to the trouble around it."""
STEADY_FACTOR: float = FACTOR**0.25
"""By which factor the two halves of a level may differ: those of a level that only grows or falls differ by more."""


class Slot(NamedTuple):
    """How slow a hop was in the slot of time that begins at `start` (seconds since the epoch), by how many messages."""

    start: int
    slowness: float
    p50: float
    p99: float = 0.0
    messages: float = 0.0


def find_usual(slots: Sequence[Slot], levels: Sequence[float], place: int) -> slice | None:
    """Return where levels were usual before a place: the newest ones that lasted, or else those of the first minutes.

    Of a hop that was slower before, those are usual that were not, if there are any: it is as before its trouble, or
    still on the way there. Slower ones are usual only if they lasted: services often begin slowly.
    """
    slower, first_lasting = None, place
    for part in _levels_before(levels, place):
        if has_lasted(slots, levels, part):
            if median(levels[part]) < levels[-1] * FACTOR:
                return part
            slower, first_lasting = slower or part, part.start
    first = _find_first_usual(slots, levels, first_lasting)
    return slower if slower and (first is None or _is_single(first)) else first


def _find_first_usual(slots: Sequence[Slot], levels: Sequence[float], place: int) -> slice | None:
    """Return where levels were usual that are not slower than now, where nothing has lasted yet: before any trouble.

    Those that follow are usual instead if they are lower for at least as long: the first were a slow begin.
    """
    usual: slice | None = None
    for each in _levels_before(levels[:place][::-1], place):  # the oldest first
        part = slice(place - each.stop, place - each.start)
        if median(levels[part]) >= levels[-1] * FACTOR:
            continue
        is_lower = usual is None or median(levels[part]) < median(levels[usual])
        if usual is None or ((is_lower or _is_single(usual)) and _length_of(slots, part) >= _length_of(slots, usual)):
            usual = part
    return usual


def _is_single(part: slice) -> bool:
    slots: int = part.stop - part.start
    return slots == 1


def _length_of(slots: Sequence[Slot], part: slice) -> int:
    """Return for how many seconds slots lasted, up to the one that follows them."""
    seconds: int = slots[part.stop].start - slots[part.start].start
    return seconds


def _levels_before(levels: Sequence[float], place: int) -> Iterator[slice]:
    """Yield where levels before a place were alike, the newest ones first."""
    while place:
        newest = levels[place - 1]
        begin = place - count_newest(levels[:place], partial(are_alike, newest))
        yield slice(begin, place)
        place = begin


def has_lasted(slots: Sequence[Slot], levels: Sequence[float], part: slice) -> bool:
    """Return whether levels lasted long enough to be usual, and neither grew nor fell all the time."""
    if _is_single(part) or _length_of(slots, part) < LASTING_SECONDS:
        return False
    middle = (part.start + part.stop) // 2
    low, high = sorted((median(levels[part.start : middle]), median(levels[middle : part.stop])))
    return high < low * STEADY_FACTOR


def are_alike(one: float, other: float) -> bool:
    """Return whether two levels count as equal."""
    low, high = sorted((one, other))
    return high < low * FACTOR
