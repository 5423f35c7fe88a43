"""Which periods have rows, and which of them are rolled up: what to read of a time range, and what to roll up next.

After agents have written rows, and before they acknowledge them, they mark the periods of the rows: they add a random
number to `marks`. A roll-up reads `marks`, then the rows, and keeps the sum that it read as `rolled`. So a period is
rolled up if the two are equal, and what was acknowledged is in its roll-up, whatever the clocks of the agents say. It
does not matter which agent rolls up, or whether two do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, Slice

MINUTE = RESOLUTIONS[1]
SETTLE_SECONDS = 90
"""A period is rolled up when no mark was added for so long, so that it is not done again with each insertion."""
CLAIM_SECONDS = 60
"""How long other agents leave a roll-up to the one that claimed it."""


class Period(NamedTuple):
    """A period of `width` seconds: the sum of its marks, the sum that its roll-up has, and when that was claimed.

    For the width of 10 seconds, `start` is a midnight before which no such rows are written, and `rolled` is 1 if those
    that were there are dropped.
    """

    width: int
    start: int
    marks: int = 0
    rolled: int = 0
    claimed: float = 0.0

    @property
    def is_rolled(self) -> bool:
        """Whether the roll-up has everything that was marked."""
        return self.rolled == self.marks


class Days(NamedTuple):
    """From when on there are rows of ten seconds (`detail`), and up to when they may be dropped; both midnights."""

    detail: int = 0
    dropped: int = 0


class Periods:
    """The periods of a time range."""

    def __init__(self, periods: Iterable[Period], days: Days) -> None:
        self._days = days
        self._known = {(period.width, period.start): period for period in periods}
        # Of old minutes, what came before is rolled up, and what came later was written as a minute.
        stale = [each for each in self._known.values() if not each.is_rolled and not self._is_old(each)]
        # A coarse period is stale if one inside is.
        self._stale = {
            (width, each.start // width * width) for each in stale for width in RESOLUTIONS[1:] if width >= each.width
        }
        self._used = {
            (width, start // width * width) for at, start in self._known for width in RESOLUTIONS[1:] if width >= at
        }

    def _is_old(self, period: Period) -> bool:
        return period.width == MINUTE and period.start < self._days.detail

    def plan(self, first: int, last: int, coarsest: int) -> list[Slice]:
        """Return the slices that together cover [first, last), as `resolutions.plan_slices` does.

        Time without any row is left out.
        """
        hours = sorted(start for width, start in self._used if width == RESOLUTIONS[-1])
        joined: list[Slice] = []
        for hour in hours:
            for each in self._descend(len(RESOLUTIONS) - 1, hour, Slice(coarsest, first, last)):
                if joined and joined[-1].width == each.width and joined[-1].last == each.first:
                    each = Slice(each.width, joined.pop().first, each.last)  # noqa: PLW2901
                joined.append(each)
        return joined

    def _descend(self, level: int, start: int, wanted: Slice) -> Iterator[Slice]:
        width, (coarsest, first, last) = RESOLUTIONS[level], wanted
        end = start + width
        if (width, start) not in self._used or start >= last or end <= first:
            return
        is_detail_gone = level == 1 and start < self._days.detail
        if is_detail_gone or (width <= coarsest and first <= start and end <= last and self.is_rolled(width, start)):
            yield Slice(width, start, end)
        elif level == 1:
            yield Slice(BUCKET_SECONDS, max(first, start), min(last, end))
        else:
            for inner in range(start, end, RESOLUTIONS[level - 1]):
                yield from self._descend(level - 1, inner, wanted)

    def is_rolled(self, width: int, start: int) -> bool:
        """Return whether the rows of a period have all that was counted in it."""
        return (width, start) in self._known and (width, start) not in self._stale

    def versions(self, width: int) -> dict[int, tuple[int, int]]:
        """Return the version of each period of a width that is rolled up, by its start."""
        return {
            start: (period.marks, 0)
            for (each, start), period in self._known.items()
            if each == width and self.is_rolled(width, start)
        }

    def version(self, rows: Slice) -> tuple[tuple[int, int], ...]:
        """Return what changes as soon as anything in the rows of a slice is acknowledged or rolled up.

        It holds for rows that are read after the periods.
        """
        width = max(rows.width, MINUTE)
        starts = range(rows.first // width * width, rows.last, width)
        known = (self._known.get((width, start), Period(width, start)) for start in starts)
        return tuple((each.marks, 0 if rows.width == BUCKET_SECONDS else each.rolled) for each in known)

    def has_all_rolled(self) -> bool:
        """Return whether every minute is rolled up, also the old ones."""
        return all(period.is_rolled for period in self._known.values() if period.width == MINUTE)

    def due(self, width: int, now: float) -> list[Period]:
        """Return the periods of a width that ended, are not rolled up and not claimed; those that were tried come last.

        Their rows of ten seconds, or roll-ups, are all there.
        """
        inner = RESOLUTIONS[RESOLUTIONS.index(width) - 1]
        stale_inside = (
            {start // width * width for each, start in self._stale if each == inner} if width > MINUTE else set()
        )
        due = [
            period
            for period in self._known.values()
            if period.width == width
            and not period.is_rolled
            and not (width == MINUTE and period.start < self._days.dropped)
            and period.start + width <= now
            and abs(now - period.claimed) >= CLAIM_SECONDS  # a claim from a clock that is ahead does not count
            and period.start not in stale_inside
        ]
        return sorted(due, key=lambda period: (period.claimed, period.start))


class Watch:
    """Since when periods have the marks that they have, on this agent's own clock: clocks of others may be wrong."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        """`ticks` returns seconds of a clock that nobody sets."""
        self._ticks = ticks
        self._seen: dict[int, dict[int, tuple[int, float]]] = {}

    def settled(self, width: int, periods: Sequence[Period], seconds: float = SETTLE_SECONDS) -> list[Period]:
        """Return those of some periods of a width that were given before, some seconds ago, with the same marks.

        Others of that width are forgotten.
        """
        now, seen = self._ticks(), self._seen.get(width, {})
        known = {period.start: seen.get(period.start, (-1, now)) for period in periods}
        self._seen[width] = {
            period.start: known[period.start] if known[period.start][0] == period.marks else (period.marks, now)
            for period in periods
        }
        return [period for period in periods if now - self._seen[width][period.start][1] >= seconds]
