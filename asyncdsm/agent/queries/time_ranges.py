"""Time ranges that a query covers, and the resolution at which it is answered."""

from __future__ import annotations

from asyncdsm.agent.store.resolutions import FOREVER, WIDTHS
from asyncdsm.agent.store.store import Span, Store

DEFAULT_MINUTES = 10
MOST_STEPS = 200
"""How many steps a series has at most if the client does not say how long they are."""
SETTLED_SECONDS = 30
"""How long after the start of a bucket nothing more is expected to be reported of it.

A tracer sends the ten seconds of a bucket within ten seconds of their end; ten more are for retries.
"""


def last_minutes(store: Store, minutes: int) -> Span:
    """Return the current minute and those before it, `minutes` in all. It has no end: what comes next is in it."""
    return Span((store.now() // 60 - minutes + 1) * 60, FOREVER)


def step_for(span: Span, now: float) -> int:
    """Return a length of steps, in seconds, that divides a time range into at most `MOST_STEPS`."""
    shortest = length_of(span, now) / MOST_STEPS
    steps = (10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600)
    return next((step for step in steps if step >= shortest), 86_400)


def settled_until(span: Span, now: float) -> int:
    """Return the start of the last bucket of a time range to which silent services have nothing to add."""
    return min(int(now - SETTLED_SECONDS), int(min(span.last, FOREVER)) - WIDTHS[0]) // WIDTHS[0] * WIDTHS[0]


def covered_seconds(store: Store, span: Span) -> float:
    """Return for how many seconds of a time range there is data; at least 1."""
    began = max(span.first, store.first_start() or span.first)
    return max(min(span.last, store.now()) - began, 1.0)


def length_of(span: Span, now: float) -> float:
    """Return the length of a time range up to now, in seconds; at least 1."""
    return max(min(span.last, now) - span.first, 1.0)
