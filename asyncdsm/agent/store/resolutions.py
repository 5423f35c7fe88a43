"""The resolutions in which the store keeps rows, and which rows to read for a time range. All times are in seconds.

A range is read from the coarsest rows that fit into it, and from finer rows at its ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

RESOLUTIONS = (10, 60, 600, 3600)
"""How many seconds a row covers: buckets as tracers report them, then three roll-ups, each made of the one before."""
BUCKET_SECONDS = RESOLUTIONS[0]
FOREVER = 1 << 40
"""The end of a time range that has no end."""


class TimeRange(NamedTuple):
    """A range of time in seconds since the epoch: `first` is in it, `last` is not."""

    first: float
    last: float


def bucket_bounds(time_range: TimeRange, oldest: float, end: float = FOREVER) -> tuple[int, int]:
    """Return the first bucket of a time range that counts, since `oldest`, and the end of the last one, up to `end`."""
    first, last = max(time_range.first, oldest) // BUCKET_SECONDS, min(time_range.last, end) // -BUCKET_SECONDS
    return int(first) * BUCKET_SECONDS, int(last) * -BUCKET_SECONDS


class Coverage(NamedTuple):
    """The time in which a resolution has all rows: from `since` up to `until`."""

    since: int
    until: int


Coverages = dict[int, Coverage]
"""The coverage of each resolution."""
RollUpVersion = tuple[int, int]
"""How many segments there are of a period, and the highest of their ids: as soon as a row of it is added or deleted,
another version."""


class Slice(NamedTuple):
    """The rows of one resolution (`width`) that start in [first, last)."""

    width: int
    first: int
    last: int


def plan_slices(
    first: int, last: int, coverages: Mapping[int, Coverage], coarsest: int = RESOLUTIONS[-1]
) -> Iterator[Slice]:
    """Yield the slices that together cover [first, last), each moment once.

    No slice is coarser than `coarsest`, except where the finer rows are deleted already: there the coarser rows are
    used, and the ends of the range move outwards to the start or end of such a row.
    """
    for finer, width in pairwise(RESOLUTIONS):
        if first < coverages[finer].since:
            first = first // width * width
        if last < coverages[finer].since:
            last = -(-last // width) * width
    yield from _plan(first, last, len(RESOLUTIONS) - 1, coverages, coarsest)


def _plan(first: int, last: int, level: int, coverages: Mapping[int, Coverage], coarsest: int) -> Iterator[Slice]:
    """Yield the slices of [first, last) from the resolutions up to `RESOLUTIONS[level]`."""
    if first >= last:
        return
    width = RESOLUTIONS[level]
    since, until = coverages[width]
    if width > coarsest:
        until = min(until, coverages[RESOLUTIONS[level - 1]].since)
    begin, end = -(-max(first, since) // width) * width, min(last, until) // width * width
    if level == 0:
        yield Slice(width, begin, -(-last // width) * width)
    elif begin < end:
        yield from _plan(first, begin, level - 1, coverages, coarsest)
        yield Slice(width, begin, end)
        yield from _plan(end, last, level - 1, coverages, coarsest)
    else:
        yield from _plan(first, last, level - 1, coverages, coarsest)
