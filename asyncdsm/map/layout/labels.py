"""Where the labels of links are: next to their links, near the middle, where no node, label or other link is.

A label never covers a node or another label: without a free place it has no lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.map.layout.routes import Box, Point

SHARES = (0.5, 0.44, 0.56, 0.38, 0.62, 0.3, 0.7, 0.24, 0.76)
# Where a label can be on a piece of a link, between two of its points.
MOST_PIECES = 5
# How many pieces of a link are tried.
CELL = 64.0
# The side of a square of the grid, in pixels.
MOST_IN_CELL = 24
# How many boxes are compared at one square.
MOST_SPACIOUS = 200
# With more links, labels get at most one line and may cover links: the search would take too long.
DOTS = 12
# A piece of a link is compared with labels at this many points,
DOT = 6.0
# each as a square of this side, in pixels.
NODE_WEIGHT = 1000.0
# How much worse it is to cover a node or a label than to cover a link.


class Label(NamedTuple):
    """A label's place: the point of its link that it is next to, the side (-1: before it, 1: after it) and its room."""

    along: float
    across: float
    side: int
    lines: int
    """How many lines of text have room; 0 if there is no free place."""


class _OccupiedBoxes:
    """The boxes that are occupied, by the squares of a grid that they touch. Each box has an owner."""

    def __init__(self, boxes: Iterable[tuple[Box, int]]) -> None:
        self.cells: defaultdict[tuple[int, int], list[tuple[Box, int]]] = defaultdict(list)
        for box, owner in boxes:
            self.add(box, owner)

    def add(self, box: Box, owner: int) -> None:
        for cell in _cells(box):
            if len(self.cells[cell]) < MOST_IN_CELL:
                self.cells[cell].append((box, owner))

    def overlap(self, box: Box, owner: int) -> float:
        """Return the area of a box that other owners occupy, in square pixels."""
        near = {taken for cell in _cells(box) for taken in self.cells.get(cell, ())}
        return sum(_common_area(box, other) for other, whose in near if whose != owner)


def place_labels(
    nodes: Iterable[Box],
    links: Sequence[list[Point]],
    lines: Sequence[int],
    sizes: Sequence[tuple[float, float]],
    distance: float,
) -> list[Label]:
    """Return the place of each link's label, as close to the middle of the link as there is room.

    `links` are the points that each link passes; `lines` is how many lines each label has. `sizes` has the size of a
    label of one line, of two and so on; each label gets room for as many of its lines as possible, or for none.
    `distance` is from a link to its label, in pixels.
    """
    is_spacious = len(links) <= MOST_SPACIOUS
    occupied = _OccupiedBoxes((node, -1) for node in nodes)
    dots = ((dot, at) for at, points in enumerate(links) for dot in _dots(points)) if is_spacious else ()
    drawn = _OccupiedBoxes(dots)
    chosen = list[Label]()
    for at, points in enumerate(links):

        def cost(box: Box, owner: int = at) -> float:
            return NODE_WEIGHT * occupied.overlap(box, -2) + drawn.overlap(box, owner)

        most = max(1, lines[at] if is_spacious else 1)
        label, box = _place_label(points, sizes[:most], distance, cost)
        if occupied.overlap(box, -2):
            label = label._replace(lines=0)
        elif lines[at]:
            occupied.add(box, at)
        chosen.append(label)
    return chosen


def _place_label(
    points: list[Point], sizes: Sequence[tuple[float, float]], distance: float, cost: Callable[[Box], float]
) -> tuple[Label, Box]:
    """Return the first free place, with as many lines as possible, or the cheapest place for one line."""
    found = list[tuple[float, Label, Box]]()
    for lines in range(len(sizes), 0, -1):
        found.clear()
        for label, box in _candidates(points, lines, sizes[lines - 1], distance):
            found.append((cost(box), label, box))
            if not found[-1][0]:
                return label, box
    return min(found, key=lambda each: each[0])[1:]


def _candidates(
    points: list[Point], lines: int, size: tuple[float, float], distance: float
) -> Iterator[tuple[Label, Box]]:
    """Yield places for a label, on either side of its link, and the box that it needs; none is outside the image."""
    for along, across in _places(points):
        for side in (-1, 1):
            box = Box(along, across + side * (distance + size[1] / 2), *size)
            if box.across >= size[1] / 2:
                yield Label(along, across, side, lines), box


def _dots(points: list[Point]) -> Iterator[Box]:
    for piece in pairwise(points):
        for step in range(DOTS + 1):
            yield Box(*_on_curve(*piece, step / DOTS), DOT, DOT)


def _places(points: list[Point]) -> Iterator[Point]:
    """Yield places on a link, those near its middle first."""
    pieces = list(pairwise(points))
    middle = (len(pieces) - 1) / 2
    nearest = sorted(range(len(pieces)), key=lambda at: abs(at - middle))
    for at in nearest[:MOST_PIECES]:
        for share in SHARES:
            yield _on_curve(*pieces[at], share)


def _on_curve(start: Point, end: Point, share: float) -> Point:
    """Return the point of a piece of a curve, which is level at both ends, at a share of the way from start to end."""
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
