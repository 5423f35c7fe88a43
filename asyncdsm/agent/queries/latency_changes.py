"""When a hop became slower or faster: found in its latencies over the last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from statistics import median
from typing import Literal, NamedTuple

from asyncdsm.agent.queries.newest_run import count_newest
from asyncdsm.agent.queries.usual_slots import (
    FACTOR,
    LASTING_SECONDS,
    Slot,
    are_alike,
    find_usual,
    has_lasted,
)
from asyncdsm.map.levels import LOWEST_LIMIT, level_of

ENOUGH_MESSAGES = 20
"""How many messages a slot must have for its median to count by itself: that of fewer is often one of the tail."""
ENOUGH_FOR_TAIL = 1_000
"""How many messages must have passed until a tail that became shorter is told: fewer lack the slow ones by chance."""


class Change(NamedTuple):
    """Since when a hop is not as it was usually (seconds since the epoch), and what was usual before (seconds).

    `is_return` says that it is as it was usually: it is back to normal since then, after a `trouble`. `level_since`
    says since when it is about as slow as now, which is later than the change if trouble grew or fell in the meantime.
    """

    since: int
    slowness: float
    p50: float
    is_return: bool = False
    level_since: int = 0
    p99: float = 0.0
    trouble: Slot | None = None
    """What the hop was like before a return: its median slowness, the highest p50 and p99, and when that began."""
    is_of_median: bool = False
    """Whether it was found in medians, whatever the tail: then `slowness` is a median too."""

    def choose_latency(self, slowness: float, p50: float) -> float:
        """Return what is compared with the `slowness` of this change: that of a hop, or its median."""
        return p50 if self.is_of_median else slowness


def last_change(slots: Sequence[Slot]) -> Change | None:
    """Return the last change in slots that are in the order of time; None if nothing changed.

    The slowness of slots is compared, and their medians by themselves where they have enough messages: a tail that was
    always long hides what else becomes slower. Of two changes, what is slower is told first, then a return, and then
    that of the median, since tails vary.
    """
    change, of_median = _find_last(slots), None
    medians = [slot._replace(slowness=slot.p50) for slot in slots if slot.messages >= ENOUGH_MESSAGES]
    if medians and medians[-1].start >= slots[-3:][0].start:
        of_median = _find_last(medians)
    rank = _rank(of_median, medians[-1]) if medians else 0
    if of_median is None or not rank or rank < _rank(change, slots[-1]):
        return change
    return of_median._replace(is_of_median=True)


def _rank(change: Change | None, newest: Slot) -> int:
    """Return how much a change matters: 3 for a hop that is slower, 2 for a return, 1 for one that is faster, or 0."""
    state = state_of(newest.slowness, change)
    return 3 if state == "slower" else 2 if find_trouble(change) else 1 if state == "faster" else 0


def _find_last(slots: Sequence[Slot]) -> Change | None:
    """Return the last change of slowness.

    A change counts when two slots in a row agree: a single slot that differs is an outlier, not a change. It began when
    the hop left what was usual before, however it got from there to here: trouble that grows, falls and grows again is
    one change.
    """
    levels = [max(slot.slowness, LOWEST_LIMIT) for slot in slots]
    if len(levels) < 2 or not are_alike(levels[-1], levels[-2]):
        return None
    place = len(levels) - count_newest(levels, lambda level: are_alike(levels[-1], level))
    if place == 0:
        return None
    part = find_usual(slots, levels, place)
    if part is None:
        return None
    slowness, p50, p99 = _find_medians(slots[part])
    level, level_since = max(slowness, LOWEST_LIMIT), slots[place].start
    if are_alike(level, levels[-1]):
        trouble = _describe_trouble(slots[part.stop : place])
        if trouble is not None and _is_by_chance(slots[place:], trouble.p50):
            trouble = None
        return Change(level_since, slowness, p50, is_return=True, level_since=level_since, p99=p99, trouble=trouble)
    length = count_newest(levels, lambda each: _has_left(level, each, is_slower=levels[-1] > level))
    is_by_chance = levels[-1] < level and _is_by_chance(slots[-length:], p50)
    is_nothing_new = not has_lasted(slots, levels, part) and _is_often(levels[-1], levels[:-length])
    if length < 2 or is_by_chance or is_nothing_new:
        return None
    return Change(slots[-length].start, slowness, p50, level_since=level_since, p99=p99)


def _is_often(level: float, before: Sequence[float]) -> bool:
    """Return whether a quarter of the levels before were this high: one that varies all the time tells nothing new."""
    return 4 * sum(not _has_left(each, level, is_slower=True) for each in before) > len(before)


def _is_by_chance(slots: Sequence[Slot], before: float) -> bool:
    """Return whether a hop may be as slow as before by chance: only its tail is shorter, and few messages passed."""
    now = max(median(slot.p50 for slot in slots), LOWEST_LIMIT)
    is_tail_alone = not _has_left(max(before, LOWEST_LIMIT), now, is_slower=False)
    return is_tail_alone and sum(slot.messages for slot in slots) < ENOUGH_FOR_TAIL


def _find_medians(slots: Sequence[Slot]) -> tuple[float, float, float]:
    """Return the medians of slowness, p50 and p99."""
    return (
        median(slot.slowness for slot in slots),
        median(slot.p50 for slot in slots),
        median(slot.p99 for slot in slots),
    )


def _describe_trouble(slots: Sequence[Slot]) -> Slot | None:
    """Return what trouble was like: its median slowness, and the highest latencies that two slots in a row reached."""
    if not slots:
        return None
    p50, p99 = (
        max((min(pair) for pair in pairwise(values)), default=values[0])
        for values in ([slot.p50 for slot in slots], [slot.p99 for slot in slots])
    )
    return Slot(slots[0].start, median(slot.slowness for slot in slots), p50, p99)


def find_trouble(change: Change | None) -> Slot | None:
    """Return what a hop was like until it was back to usual, if that was slower and lasted; else None."""
    if change is None or change.trouble is None or change.since - change.trouble.start < LASTING_SECONDS:
        return None
    is_slower = _has_left(max(change.slowness, LOWEST_LIMIT), change.trouble.slowness, is_slower=True)
    return change.trouble if is_slower else None


def may_have_changed(slots: Sequence[Slot]) -> bool:
    """Return whether any slots differ so much that there may be a change: most hops have none."""
    p50s = [slot.p50 for slot in slots if slot.messages >= ENOUGH_MESSAGES]
    values = [slot.slowness for slot in slots], p50s
    return any(max(each) >= FACTOR * max(min(each), LOWEST_LIMIT) for each in values if each)


def begin_of_return(slots: Sequence[Slot], change: Change) -> int:
    """Return since when a hop is as it was usually, from finer slots; the change's `since` if they do not show it."""
    levels = [max(change.choose_latency(slot.slowness, slot.p50), LOWEST_LIMIT) for slot in slots]
    level = max(change.slowness, LOWEST_LIMIT)
    length = count_newest(levels, lambda each: each < level * FACTOR)
    return slots[-length].start if length else change.since


def begin_of_change(slots: Sequence[Slot], change: Change) -> int:
    """Return when a change began, from finer slots around its `since`; that itself if they do not show it."""
    levels = [max(change.choose_latency(slot.slowness, slot.p50), LOWEST_LIMIT) for slot in slots]
    level = max(change.slowness, LOWEST_LIMIT)
    length = count_newest(levels, lambda each: _has_left(level, each, is_slower=levels[-1] > level))
    return slots[-length].start if length else change.since


def state_of(slowness: float, change: Change | None) -> Literal["steady", "slower", "faster"]:
    """Return `slower` or `faster` for a hop that changed and is this slow now (seconds), `steady` for all others.

    `slowness` is the median if the change is one of the median: `Change.choose_latency`.

    A hop is faster only if its level fell: one that has outliers again and again keeps the color that it had before.
    One that is back to normal is steady.
    """
    if change is None:
        return "steady"
    if change.is_return:
        return "steady"
    level = max(change.slowness, LOWEST_LIMIT)
    if slowness > level:
        return "slower" if _has_left(level, slowness, is_slower=True) else "steady"
    return "faster" if level_of(slowness) < level_of(change.slowness) else "steady"


def changed_quantile(p50: float, change: Change, state: Literal["slower", "faster"]) -> Literal["p50", "p99"]:
    """Return which quantile shows a change: the median if that is clearly more or less than before, or else the 99th
    percentile, since the tail changed."""
    before, now = max(change.p50, LOWEST_LIMIT), max(p50, LOWEST_LIMIT)
    return "p50" if _has_left(before, now, is_slower=state == "slower") else "p99"


def _has_left(level: float, other: float, *, is_slower: bool) -> bool:
    return (other / level if is_slower else level / other) >= sqrt(FACTOR)
