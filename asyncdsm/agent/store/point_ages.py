"""Since when points are known: which number a new point would have got, minute by minute.

Numbers of points only grow, so that a point is new since a moment if its number was not given out by then. Marks are in
memory only: after a start, the points of the file are old.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter

MINUTE = 60
MOST_MARKS = 2_000
"""How many marks are kept, at most one for each minute in which new points came."""


class PointAges:
    """The number that the next new point would have got, at moments in seconds. Any thread may read it."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, int]] = []

    def note(self, next_point: int, moment: float) -> None:
        """Note the number that the next new point will get, before points are added."""
        minute = int(moment) // MINUTE * MINUTE
        last = self._marks[-1] if self._marks else None
        if last is not None and minute < last[0]:
            return  # the clock was set back
        if last is None or (last[1] != next_point and last[0] != minute):
            self._marks = [*self._marks[-MOST_MARKS + 1 :], (minute, next_point)]
        elif last[1] == next_point:
            self._marks = [*self._marks[:-1], (minute, next_point)]

    def first_new_number(self, moment: float) -> int | None:
        """Return the number from which on points are new since a moment; None if none of them is."""
        marks = self._marks
        place = bisect_left(marks, int(moment) // MINUTE * MINUTE, key=itemgetter(0))
        return marks[place][1] if place < len(marks) else None
