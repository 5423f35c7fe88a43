"""Whether a consumer group catches up: one rule, for a partition and for the sum of a group's partitions.

A lag rises and falls with each batch and each commit. So the rule does not look at how much it changed, but at how
steadily: of all pairs of two moments within the last two minutes, in at least four of five the later one has more
unread messages (falling behind), or fewer (catching up). A group catches up, too, if that is so since its lag was
highest, for at least 30 seconds, and before that no fall was half as deep: one that recovers is told from one whose lag
goes up and down. All else is steady.

So is a group whose oldest unread message is younger than 20 seconds: it reads as fast as it commits; unless it was
further behind within the two minutes, and is catching up. A group that commits every minute is steady, too: only two
thirds of its pairs rise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.store.histograms import Floats
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS
from asyncdsm.map.topology import Trend

FRESH_SECONDS = 20.0
"""A group whose oldest unread message is younger keeps up."""
SHARE_OF_PAIRS = 0.8
FEWEST_MOMENTS = 6
"""From fewer moments, a minute of them, no trend is told."""
FEWEST_FALLING = 4
"""For how many moments, 30 seconds of them, a lag must have fallen since it was highest."""


class Velocity(NamedTuple):
    """The trend of a lag, and the seconds until it is 0 at the present velocity, if it is catching up."""

    trend: Trend | None
    done_in: float | None = None


STEADY, UNKNOWN = Velocity("steady"), Velocity(None)


def find_velocities(rows: Sequence[Floats]) -> list[Velocity]:
    """Return the velocity of each row: unread messages in successive buckets, the last one now, NaN where unknown.

    The time until a group has caught up is from the median change between two moments (Theil and Sen's slope).
    """
    if not rows:
        return []
    behinds = np.array(rows)
    earlier, later = np.triu_indices(behinds.shape[1], 1)
    changes = behinds[:, later] - behinds[:, earlier]
    pairs = np.count_nonzero(~np.isnan(changes), axis=1)
    rising, falling = (np.count_nonzero(each, axis=1) for each in (changes > 0, changes < 0))
    is_known = pairs >= FEWEST_MOMENTS * (FEWEST_MOMENTS - 1) // 2
    catches_up = is_known & (falling >= SHARE_OF_PAIRS * pairs)
    found = [STEADY if each else UNKNOWN for each in is_known.tolist()]
    for row in np.flatnonzero(is_known & (rising >= SHARE_OF_PAIRS * pairs)).tolist():
        found[row] = Velocity("falling behind")
    for row in np.flatnonzero(catches_up).tolist():
        slope = float(np.nanmedian(changes[row] / ((later - earlier) * BUCKET_SECONDS)))
        found[row] = Velocity("catching up", float(behinds[row, -1]) / -slope)
    has_fallen = behinds[:, -1] < behinds[:, -min(FEWEST_FALLING, behinds.shape[1])]
    for row in np.flatnonzero(is_known & ~catches_up & has_fallen).tolist():
        found[row] = _recovering(behinds[row]) or found[row]
    return found


def _recovering(behinds: Floats) -> Velocity | None:
    """Return the velocity of a lag that falls since it was highest; None if it does not, or if it goes up and down."""
    places = np.flatnonzero(~np.isnan(behinds))
    known = behinds[places]
    peak = len(known) - 1 - int(known[::-1].argmax())
    falling, fallen = known[peak:], float(known[peak] - known[-1])
    if len(falling) < FEWEST_FALLING or np.isnan(behinds[-1]):
        return None
    deepest_before = float((np.maximum.accumulate(known[: peak + 1]) - known[: peak + 1]).max())
    earlier, later = np.triu_indices(len(falling), 1)
    changes = falling[later] - falling[earlier]
    if 2 * deepest_before >= fallen or np.count_nonzero(changes < 0) < SHARE_OF_PAIRS * len(changes):
        return None
    seconds = (places[peak:][later] - places[peak:][earlier]) * BUCKET_SECONDS
    return Velocity("catching up", float(known[-1] / -np.median(changes / seconds)))


def settle(velocity: Velocity, behinds: Floats, seconds: float | None) -> Velocity:
    """Return the velocity of a group with these lags, whose oldest unread message is that old, in `seconds`.

    If it keeps up, it is steady, unless it was further behind and is still catching up.
    """
    now = float(behinds[-1])
    if not keeps_up(int(now), seconds):
        return velocity
    return velocity if velocity.trend == "catching up" and was_late(behinds, now, seconds) else STEADY


def was_late(behinds: Floats, now: float, seconds: float | None) -> bool:
    """Return whether any of these lags was of messages that were not fresh, judged by their rate of now."""
    return bool(now and seconds and (behinds * seconds >= FRESH_SECONDS * now).any())


def keeps_up(behind: int, seconds: float | None) -> bool:
    """Return whether a group with this lag is steady, whatever it was before."""
    return behind == 0 or (seconds is not None and seconds < FRESH_SECONDS)
