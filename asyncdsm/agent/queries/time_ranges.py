"""The ranges of time that are asked for."""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, FOREVER, TimeRange
from asyncdsm.agent.store.store import Store

DEFAULT_MINUTES = 10
MOST_STEPS = 200
"""So many steps a series has at most, where nobody says how long they are."""
MOST_STEPS_ASKED = 2_000
SETTLED_SECONDS = 30
"""After so long from the start of a bucket, what has not been reported of it will not be.

A tracer sends the ten seconds of a bucket within ten seconds of their end; ten more are for retries.
"""
_LATEST = 4_000_000_000.0


def last_minutes(store: Store, minutes: int) -> TimeRange:
    """Return this minute and those before it, `minutes` in all. It has no end: what comes next is in it."""
    return TimeRange((store.now() // 60 - minutes + 1) * 60, FOREVER)


def read_span(store: Store, query: Mapping[str, str]) -> TimeRange:
    """Return what `minutes`, or `from` and `to`, ask for. Raises IntakeError."""
    if "from" in query or "to" in query:
        if "minutes" in query:
            raise IntakeError("minutes", "given beside from or to; one or the other")
        first = _time(query, "from", store.now() - DEFAULT_MINUTES * 60)
        last = _time(query, "to", store.now())
        if first >= last:
            raise IntakeError("from", f"{first:.15g} is not before to, {last:.15g}")
        return TimeRange(first, last)
    most = store.kept_seconds // 60
    text = query.get("minutes", str(min(DEFAULT_MINUTES, most)))
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= most):
        raise IntakeError("minutes", f"{text[:40]!r} is not a whole number from 1 to {most}")
    return last_minutes(store, int(text))


def read_step(store: Store, query: Mapping[str, str], span: TimeRange) -> int:
    """Return the length of a step in seconds, a multiple of ten. Raises IntakeError."""
    text = query.get("step")
    if text is None:
        return step_for(span, store.now())
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) and int(text) % BUCKET_SECONDS == 0):
        raise IntakeError("step", f"{text[:40]!r} is not a number of seconds that ten divides")
    if _length(span, store.now()) / int(text) > MOST_STEPS_ASKED:
        raise IntakeError("step", f"{text} s make more than {MOST_STEPS_ASKED} steps of this range")
    return int(text)


def step_for(span: TimeRange, now: float) -> int:
    """Return a length of steps that makes some two hundred at most."""
    least = _length(span, now) / MOST_STEPS
    steps = (10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600)
    return next((step for step in steps if step >= least), 86_400)


def settled_until(span: TimeRange, now: float) -> int:
    """Return the start of the last bucket of a span about which services that are silent have nothing to add."""
    return (
        min(int(now - SETTLED_SECONDS), int(min(span.last, FOREVER)) - BUCKET_SECONDS)
        // BUCKET_SECONDS
        * BUCKET_SECONDS
    )


def covered_seconds(store: Store, span: TimeRange) -> float:
    """Return how much of the span there is something of; at least 1."""
    began = max(span.first, store.oldest_start() or span.first)
    return max(min(span.last, store.now()) - began, 1.0)


def _length(span: TimeRange, now: float) -> float:
    return max(min(span.last, now) - span.first, 1.0)


def _time(query: Mapping[str, str], name: str, default: float) -> float:
    text = query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (text.isascii() and len(text) <= 32 and 0 <= value <= _LATEST):
        raise IntakeError(name, f"{text[:40]!r} is not a time in seconds since 1970")
    return value
