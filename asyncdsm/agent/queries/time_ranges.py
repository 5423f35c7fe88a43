"""Time ranges that a query covers, and the resolution at which it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncdsm.agent.store.limits import DETAIL_SECONDS
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, FOREVER, RESOLUTIONS, TimeRange

DEFAULT_MINUTES = 10
MOST_STEPS = 200
"""How many steps a series has at most if the client does not say how long they are."""
SETTLED_SECONDS = 30
"""How long after the start of a bucket nothing more is expected to be reported of it.

A tracer sends the ten seconds of a bucket within ten seconds of their end; ten more are for retries.
"""


def last_minutes(store: Store, minutes: int) -> TimeRange:
    """Return the current minute and those before it, `minutes` in all. It has no end: what comes next is in it."""
    return TimeRange((store.now() // 60 - minutes + 1) * 60, FOREVER)


def step_for(time_range: TimeRange, now: float) -> int:
    """Return a length of steps, in seconds, that divides a time range into at most `MOST_STEPS`."""
    shortest = max(length_of(time_range, now) / MOST_STEPS, shortest_step(time_range, now))
    steps = (10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600)
    return next((step for step in steps if step >= shortest), 86_400)


def shortest_step(time_range: TimeRange, now: float) -> int:
    """Return how long a step of a time range is at least, in seconds: after a day, minutes are kept."""
    return BUCKET_SECONDS if time_range.first >= now - DETAIL_SECONDS else RESOLUTIONS[1]


def settled_until(time_range: TimeRange, now: float) -> int:
    """Return the start of the last bucket of a time range to which silent services have nothing to add."""
    return (
        min(int(now - SETTLED_SECONDS), int(min(time_range.last, FOREVER)) - BUCKET_SECONDS)
        // BUCKET_SECONDS
        * BUCKET_SECONDS
    )


def covered_seconds(store: Store, time_range: TimeRange) -> float:
    """Return for how many seconds of a time range there is data; at least 1."""
    began = max(time_range.first, store.oldest_start() or time_range.first)
    return max(min(time_range.last, store.now()) - began, 1.0)


def length_of(time_range: TimeRange, now: float) -> float:
    """Return the length of a time range up to now, in seconds; at least 1."""
    return max(min(time_range.last, now) - time_range.first, 1.0)


def join_neighbors(starts: Iterable[int], width: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges [first, last) that slots, given by their starts in ascending order, cover without a gap."""
    first = last = None
    for start in starts:
        if first is not None and last is not None and start != last:
            yield first, last
            first = None
        first, last = start if first is None else first, start + width
    if first is not None and last is not None:
        yield first, last
