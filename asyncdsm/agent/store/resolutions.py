"""Which stretches of time answer for a span: the widest that fit, finer ones at its ends. All in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

WIDTHS = (10, 60, 600, 3600)
"""How long a row of each level is: what arrives, and its roll-ups, each made of the one before."""
FOREVER = 1 << 40


class Extent(NamedTuple):
    """From where, and up to where, a level has everything."""

    since: int
    until: int


class Piece(NamedTuple):
    """The rows of one level that start in [first, last)."""

    width: int
    first: int
    last: int


def pieces(first: int, last: int, extents: Mapping[int, Extent], widest: int = WIDTHS[-1]) -> Iterator[Piece]:
    """Yield what to read for [first, last), each moment once.

    Rows are no wider than `widest`. Where the finer rows are gone already, wider ones stand in for them, and the ends
    move outwards to where such a row starts.
    """
    for finer, width in pairwise(WIDTHS):
        if first < extents[finer].since:
            first = first // width * width
        if last < extents[finer].since:
            last = -(-last // width) * width
    yield from _cover(first, last, len(WIDTHS) - 1, extents, widest)


def _cover(first: int, last: int, level: int, extents: Mapping[int, Extent], widest: int) -> Iterator[Piece]:
    if first >= last:
        return
    width = WIDTHS[level]
    since, until = extents[width]
    if width > widest:
        until = min(until, extents[WIDTHS[level - 1]].since)
    begin, end = -(-max(first, since) // width) * width, min(last, until) // width * width
    if level == 0:
        yield Piece(width, begin, -(-last // width) * width)
    elif begin < end:
        yield from _cover(first, begin, level - 1, extents, widest)
        yield Piece(width, begin, end)
        yield from _cover(end, last, level - 1, extents, widest)
    else:
        yield from _cover(first, last, level - 1, extents, widest)
