"""Which periods have rows, and which of them are rolled up: what to read of a time range, and what to roll up next.

Agents mark a minute before they write rows of ten seconds into it. A roll-up is done when it is later than the mark,
and done again after a later one. So it does not matter which agent does it, or whether two do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, RESOLUTIONS, Slice

MINUTE = RESOLUTIONS[1]
SETTLE_SECONDS = 90
"""How long after its last mark a period is rolled up: insertions that are under way end before."""
MARK_SECONDS = 30
"""How old a mark may be when rows are written; then it is made again."""
CLAIM_SECONDS = 60
"""How long other agents leave a roll-up to the one that claimed it."""


class Period(NamedTuple):
    """A period of `width` seconds, and when it was marked, claimed and rolled up; 0 for never. Times in seconds."""

    width: int
    start: int
    marked: float = 0.0
    claimed: float = 0.0
    rolled: float = 0.0

    @property
    def is_rolled(self) -> bool:
        """Whether the roll-up has everything that was marked."""
        return self.rolled > self.marked


class Periods:
    """The periods of a time range."""

    def __init__(self, periods: Iterable[Period], detail_since: int) -> None:
        """`detail_since` is the time from which on rows of ten seconds are there."""
        self._detail_since = detail_since
        self._known = {(period.width, period.start): period for period in periods}
        # Of old minutes, what came before is rolled up, and what came later was written as a minute.
        self._old = {key for key in self._known if key[0] == MINUTE and key[1] < detail_since}
        stale = [each for key, each in self._known.items() if not each.is_rolled and key not in self._old]
        # A coarse period is stale if one inside is.
        self._stale = {
            (width, each.start // width * width) for each in stale for width in RESOLUTIONS[1:] if width >= each.width
        }
        self._used = {
            (width, start // width * width) for at, start in self._known for width in RESOLUTIONS[1:] if width >= at
        }

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
        is_detail_gone = level == 1 and start < self._detail_since
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
            start: (round(period.rolled * 1000), 0)
            for (each, start), period in self._known.items()
            if each == width and self.is_rolled(width, start)
        }

    def rolled(self, rows: Slice) -> tuple[float, ...]:
        """Return when each of the periods of a slice was rolled up that is known, in order of time."""
        starts = range(rows.first, rows.last, rows.width)
        return tuple(known.rolled for start in starts if (known := self._known.get((rows.width, start))) is not None)

    def due(self, width: int, now: float) -> list[int]:
        """Return the starts of the periods of a width that are to be rolled up now, in order."""
        inner = RESOLUTIONS[RESOLUTIONS.index(width) - 1]
        stale_inside = (
            {start // width * width for each, start in self._stale if each == inner} if width > MINUTE else set()
        )
        return sorted(
            period.start
            for period in self._known.values()
            if period.width == width
            and not period.is_rolled
            and (width, period.start) not in self._old
            and period.start + width <= now
            and period.marked + SETTLE_SECONDS <= now
            and period.claimed + CLAIM_SECONDS <= now
            and period.start not in stale_inside
        )
