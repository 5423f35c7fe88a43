"""The rules that say what counts as a change: one for each kind. They look at numbers only, and are robust to noise.

- A hop is *slower* or *faster* if two slots in a row differ by a factor of three from what was before: that rule is in
  `latency_changes`.
- The *rate* fell or rose if it has differed for at least two slots in a row by a factor of two from nearly all slots
  before, and by more than chance explains. In which ten seconds it did is in `rate_begins`.
- A service is *quiet* if it has reported nothing for a minute, and for three times its longest usual silence before.
- An edge is *new* if no message passed it before, although the agent had been running for a while.
- A *version* changed if a service reports another one than before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt
from statistics import median
from typing import Literal, NamedTuple

from asyncdsm.agent.queries.newest_run import count_newest
from asyncdsm.agent.store.versions import VersionRun

RATE_FACTOR = 2.0
"""Rates that differ by less than this factor count as equal."""
RATE_DEVIATIONS = 4.0
"""By how many standard deviations of chance (Poisson) counts must differ to count as different."""
BEGIN_DEVIATIONS = 2.0
"""By how many a slot before must be outside of nearly all slots before it, to be the begin of a slow change."""
SHORTEST_RUN, FEWEST_BEFORE = 2, 5
"""How many slots the new rate must have lasted, and how many slots before say what was usual."""
ORDINARY_SHARE = 0.1
"""The share of slots, at either end, that do not belong to what is usual: outliers."""
QUIET_SECONDS = 60
"""How long a service must have been silent: six intervals of its reports."""
QUIET_FACTOR = 3
"""How many times longer than before a silence must be."""
FEWEST_REPORTS = 3
"""A service that reported in fewer slots has no habit yet."""
FEWEST_PAUSES = 10
"""Of this many pauses or more, the longest one may have been a failure: it counts only if it came twice."""
GRACE_SECONDS = 600
"""For how long after the first report of all everything is seen for the first time, and nothing is new."""


class RateChange(NamedTuple):
    """Since which slot a rate is what it is now, and messages per slot before and now."""

    kind: Literal["rate fell", "rate rose"]
    slot: int
    before: float
    now: float


def find_rate_change(counts: Sequence[float]) -> RateChange | None:
    """Return the last change in the numbers of messages of slots, the oldest first; None if the rate is as usual.

    Slots before the change may vary as they like: only a rate outside nearly all of them counts.
    """
    length = count_newest(counts, lambda count: _are_alike(counts[-1], count))
    run, begin = counts[len(counts) - length :], len(counts) - length
    if length < SHORTEST_RUN or begin < FEWEST_BEFORE:
        return None
    low, high = _find_ordinary(counts[:begin])
    now, happened = median(run), sum(run)
    expected = low * length
    if now * RATE_FACTOR <= low and expected - happened >= RATE_DEVIATIONS * sqrt(expected):
        begin = _find_begin(counts, begin, lambda count, low, _: low - count > BEGIN_DEVIATIONS * sqrt(low))
        return RateChange("rate fell", begin, median(counts[:begin]), now)
    expected = max(high, 1.0) * length
    if now >= high * RATE_FACTOR and happened - expected >= RATE_DEVIATIONS * sqrt(expected):
        begin = _find_begin(counts, begin, lambda count, _, high: count - high > BEGIN_DEVIATIONS * sqrt(high))
        return RateChange("rate rose", begin, median(counts[:begin]), now)
    return None


def _find_ordinary(counts: Sequence[float]) -> tuple[float, float]:
    """Return between which numbers nearly all slots are."""
    ordered, cut = sorted(counts), int(len(counts) * ORDINARY_SHARE)
    return ordered[cut], ordered[-1 - cut]


def _find_begin(counts: Sequence[float], begin: int, has_left: Callable[[float, float, float], bool]) -> int:
    """Return the slot at which a change began: `begin`, or earlier if the rate has changed slowly since.

    `has_left` tells of a count, and of the two limits of what was ordinary before it, whether it is outside of them.
    """
    while begin > FEWEST_BEFORE and has_left(counts[begin - 1], *_find_ordinary(counts[: begin - 1])):
        begin -= 1
    return begin


def _are_alike(one: float, other: float) -> bool:
    low, high = sorted((one, other))
    return high < low * RATE_FACTOR or high - low <= RATE_DEVIATIONS * sqrt(high)


def find_silence(starts: Sequence[int], width: int, settled_at: float) -> int | None:
    """Return since when a service is quiet, in seconds since the epoch; None if it is not, or if it often is.

    `starts` are those of the slots, each of `width` seconds, in which it reported, in ascending order. Nothing more is
    expected to be reported of the time until `settled_at`.
    """
    if len(starts) < FEWEST_REPORTS:
        return None
    since = starts[-1] + width
    silence = settled_at - since
    return since if silence >= find_patience(starts, width) else None


def find_patience(starts: Sequence[int], width: int) -> int:
    """Return for how many seconds one that reported in these slots, two at least, may be silent and is not quiet."""
    pauses = sorted(later - earlier - width for earlier, later in pairwise(starts))
    longest = pauses[-2] if len(pauses) >= FEWEST_PAUSES else pauses[-1]
    return max(QUIET_SECONDS, QUIET_FACTOR * longest)


def new_from(oldest: float) -> float:
    """Return from when on what is seen for the first time is new, for an agent whose data begin at `oldest`."""
    return oldest + GRACE_SECONDS


class VersionChange(NamedTuple):
    """Since when a service has a version, in seconds since the epoch, and which one it had before."""

    since: float
    before: str
    now: str


def find_version_changes(runs: Sequence[VersionRun], first: float, last: float) -> list[VersionChange]:
    """Return the versions that began in [first, last), each with the one that began before it."""
    pairs = pairwise(runs)
    return [VersionChange(run.since, before.version, run.version) for before, run in pairs if first <= run.since < last]
