"""Which stretches of time answer for a span: the coarsest that fit, finer ones at its ends. All in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

RESOLUTIONS = (10, 60, 600, 3600)
# Seconds that a row of each resolution covers: the buckets of the tracers, then three roll-ups, each of the one before.
BUCKET_SECONDS = RESOLUTIONS[0]
FOREVER = 1 << 40


class TimeRange(NamedTuple):
    """A range of time in seconds since the epoch: `first` is in it, `last` is not."""

    first: float
    last: float


class Coverage(NamedTuple):
    """From where, and up to where, a level has everything."""

    since: int
    until: int


class Slice(NamedTuple):
    """The rows of one level that start in [first, last)."""

    width: int
    first: int
    last: int


def plan_slices(
    first: int, last: int, extents: Mapping[int, Coverage], coarsest: int = RESOLUTIONS[-1]
) -> Iterator[Slice]:
    """Yield what to read for [first, last), each moment once.

    Rows are no wider than `coarsest`. Where the finer rows are gone already, wider ones stand in for them, and the ends
    move outwards to where such a row starts.
    """
    for finer, width in pairwise(RESOLUTIONS):
        if first < extents[finer].since:
            first = first // width * width
        if last < extents[finer].since:
            last = -(-last // width) * width
    yield from _cover(first, last, len(RESOLUTIONS) - 1, extents, coarsest)


def _cover(first: int, last: int, level: int, extents: Mapping[int, Coverage], coarsest: int) -> Iterator[Slice]:
    if first >= last:
        return
    width = RESOLUTIONS[level]
    since, until = extents[width]
    if width > coarsest:
        until = min(until, extents[RESOLUTIONS[level - 1]].since)
    begin, end = -(-max(first, since) // width) * width, min(last, until) // width * width
    if level == 0:
        yield Slice(width, begin, -(-last // width) * width)
    elif begin < end:
        yield from _cover(first, begin, level - 1, extents, coarsest)
        yield Slice(width, begin, end)
        yield from _cover(end, last, level - 1, extents, coarsest)
    else:
        yield from _cover(first, last, level - 1, extents, coarsest)
