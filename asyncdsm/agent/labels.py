"""Where the labels of links are: on their links, near the middle, where no node and no other label is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from operator import itemgetter

from asyncdsm.agent.routes import Box, Point

SHARES = (0.5, 0.44, 0.56, 0.38, 0.62, 0.3, 0.7)
# Where on a piece of a link, between two of its points, a label can be.
MOST_PIECES = 5
# How many pieces of a link are tried.
CELL = 64.0
# The side of a square of the grid, in pixels.
MOST_IN_CELL = 12
# More boxes do not fit side by side at one square. Where more are on each other, the others are not compared.


class _Occupied:
    """The boxes that are taken, to be found by the squares of a grid that they touch."""

    def __init__(self, boxes: Iterable[Box]) -> None:
        self.cells: defaultdict[tuple[int, int], list[Box]] = defaultdict(list)
        for box in boxes:
            self.add(box)

    def add(self, box: Box) -> None:
        for cell in _cells(box):
            if len(self.cells[cell]) < MOST_IN_CELL:
                self.cells[cell].append(box)

    def first_free(self, boxes: Iterable[Box]) -> Box:
        """Return the first box that overlaps none of those taken, or the first one with the least overlap."""
        return min(_until_free((self._overlap(box), box) for box in boxes), key=itemgetter(0))[1]

    def _overlap(self, box: Box) -> float:
        """Return the area of this box that is taken, in square pixels."""
        near = {other for cell in _cells(box) for other in self.cells.get(cell, ())}
        return sum(_common_area(box, other) for other in near)


def _until_free(candidates: Iterable[tuple[float, Box]]) -> Iterator[tuple[float, Box]]:
    """Yield the candidates up to the first one without overlap."""
    for overlap, box in candidates:
        yield overlap, box
        if not overlap:
            return


def place_labels(
    nodes: Iterable[Box], links: Iterable[list[Point]], size: tuple[float, float], beside: float
) -> list[Point]:
    """Return the point of each link that its label is at; the label's middle is `beside` pixels across from it.

    It is the point nearest to the middle of the link at which the label overlaps no node and no label before it, or
    the one with the least overlap. `links` are the points that each link passes, `size` is that of a label.
    """
    occupied, chosen = _Occupied(nodes), list[Point]()
    for points in links:
        label = occupied.first_free(Box(along, across + beside, *size) for along, across in _places(points))
        occupied.add(label)
        chosen.append((label.along, label.across - beside))
    return chosen


def _places(points: list[Point]) -> Iterator[Point]:
    """Yield places on a link, those near its middle first."""
    pieces = list(pairwise(points))
    middle = (len(pieces) - 1) / 2
    nearest = sorted(range(len(pieces)), key=lambda at: abs(at - middle))
    for at in nearest[:MOST_PIECES]:
        for share in SHARES:
            yield _on_curve(*pieces[at], share)


def _on_curve(start: Point, end: Point, share: float) -> Point:
    """Return the point of a piece of a curve, to which both ends are level, by the share of the way."""
    along, across = 1.5 * share * (1 - share) + share**3, share * share * (3 - 2 * share)
    return start[0] + (end[0] - start[0]) * along, start[1] + (end[1] - start[1]) * across


def _common_area(one: Box, other: Box) -> float:
    """Return the area that two boxes have in common, in square pixels."""
    length = min((one.length + other.length) / 2 - abs(one.along - other.along), one.length, other.length)
    breadth = min((one.breadth + other.breadth) / 2 - abs(one.across - other.across), one.breadth, other.breadth)
    return max(length, 0.0) * max(breadth, 0.0)


def _cells(box: Box) -> Iterator[tuple[int, int]]:
    for column in range(int((box.along - box.length / 2) // CELL), int((box.along + box.length / 2) // CELL) + 1):
        for row in range(int((box.across - box.breadth / 2) // CELL), int((box.across + box.breadth / 2) // CELL) + 1):
            yield column, row
