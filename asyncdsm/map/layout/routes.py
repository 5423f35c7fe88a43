"""Which points each link passes: from a port of its source, by its bends, to a port of its target.

Points are (along, across): pixels along the flow and across it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

Point = tuple[float, float]
Ends = Sequence[tuple[int, int]]

PORTS_APART = 12.0


class Box(NamedTuple):
    """A rectangle, by its middle and its size: a node, or a label."""

    along: float
    across: float
    length: float
    breadth: float


def route_links(boxes: Sequence[Box], ends: Ends, bends: Sequence[Sequence[Point]], layer: float) -> list[list[Point]]:
    """Return the points of each link. `ends` are the numbers of its source's and its target's box.

    A link is level where it passes a layer, which is `layer` long, and turns between layers.
    """
    ports = _ports(boxes, ends, bends)
    routes = []
    for index, (source, target) in enumerate(ends):
        half = layer / 2 * _side(boxes, source, target)
        level = [point for along, across in bends[index] for point in ((along - half, across), (along + half, across))]
        routes.append(list(_without_straight_points([ports[index, "from"], *level, ports[index, "to"]])))
    return routes


def _side(boxes: Sequence[Box], source: int, target: int) -> int:
    """Return at which side a link leaves its source: 1 if it leads with the flow, -1 if against it."""
    return 1 if boxes[source].along <= boxes[target].along else -1


def _ports(boxes: Sequence[Box], ends: Ends, bends: Sequence[Sequence[Point]]) -> dict[tuple[int, str], Point]:
    """Return where each link, by its index, leaves its source ("from") and reaches its target ("to").

    The ports at a side of a node are in the order of the points to which their links lead next.
    """
    sides: defaultdict[tuple[int, int], list[tuple[float, int, str]]] = defaultdict(list)
    for index, (source, target) in enumerate(ends):
        side = _side(boxes, source, target)
        passed = [boxes[source].across, *(across for _, across in bends[index]), boxes[target].across]
        sides[source, side].append((passed[1], index, "from"))
        sides[target, -side].append((passed[-2], index, "to"))
    return {
        (index, end): port
        for (node, side), links in sides.items()
        for (_, index, end), port in zip(sorted(links), _ports_of(boxes[node], side, len(links)), strict=True)
    }


def _ports_of(box: Box, side: int, count: int) -> Iterator[Point]:
    """Yield `count` ports at a side of a node, around its middle."""
    step = min(PORTS_APART, (box.breadth - PORTS_APART) / count)
    for place in range(count):
        yield box.along + side * box.length / 2, box.across + (place - (count - 1) / 2) * step


def _without_straight_points(points: Sequence[Point]) -> Iterable[Point]:
    """Yield the points without those at which a link does not turn."""
    yield points[0]
    for before, point, after in zip(points, points[1:], points[2:], strict=False):
        if not before[1] == point[1] == after[1]:
            yield point
    yield points[-1]
