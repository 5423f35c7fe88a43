"""What is wrong with a drawing: nodes that overlap, links that end elsewhere or run through nodes, links that cross."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

from asyncdsm.map.graph import Graph
from asyncdsm.map.layout import LABEL_SIZES, LINE_HEIGHT, SIZES, Layout, PlacedLabel, label_origin
from asyncdsm.map.layout.routes import Box, Point

STEPS = 24
NEAREST = 8.0
# How many pixels a link keeps from nodes that are not at its ends.


def faults(graph: Graph, layout: Layout) -> list[str]:
    """Return what is wrong with a layout: links that end elsewhere, nodes over each other, places outside."""
    found = []
    for link, points in zip(graph.links, layout.links, strict=True):
        for node, (x, y) in ((link.source, points[0]), (link.target, points[-1])):
            (at_x, at_y), (width, height) = layout.nodes[node], SIZES[node.kind]
            if abs(x - at_x) > width / 2 + 0.1 or abs(y - at_y) > height / 2 + 0.1:
                found.append(f"{link} does not touch {node}")
    for one, other in combinations(graph.nodes, 2):
        (x, y), (to_x, to_y) = layout.nodes[one], layout.nodes[other]
        if abs(x - to_x) < 160 and abs(y - to_y) < 34:
            found.append(f"{one} lies over {other}")
    points = [*layout.nodes.values(), *(point for link in layout.links for point in link)]
    return found + [
        f"{point} is outside" for point in points if not (0 < point[0] < layout.width and 0 < point[1] < layout.height)
    ]


def links_through_nodes(graph: Graph, layout: Layout) -> list[str]:
    """Return which links run through a node at one of their ends, or come too near to another one."""
    return [
        f"{link.source.name} to {link.target.name} runs through {node.name}"
        for link, points in zip(graph.links, layout.links, strict=True)
        for node in graph.nodes
        for distance in [-1.0 if node in link[:2] else NEAREST]
        if any(
            _is_within(distance, point, layout.nodes[node], SIZES[node.kind]) for point in drawn_points(layout, points)
        )
    ]


def _is_within(distance: float, point: Point, middle: Point, size: tuple[float, float]) -> bool:
    """Tell whether a point is nearer to a box than the distance, across and along."""
    return all(abs(at - centre) < extent / 2 + distance for at, centre, extent in zip(point, middle, size, strict=True))


def drawn_points(layout: Layout, points: list[Point]) -> Iterator[Point]:
    """Yield points of the curve that is drawn through `points`: a cubic one, level at each of them."""
    for start, end in pairwise(layout.flow.point(*point) for point in points):
        for step in range(STEPS + 1):
            share = step / STEPS
            along = 1.5 * share * (1 - share) + share**3
            across = share * share * (3 - 2 * share)
            at = (start[0] + (end[0] - start[0]) * along, start[1] + (end[1] - start[1]) * across)
            yield layout.flow.point(*at)


def label_box(label: PlacedLabel) -> Box:
    """Return the box of a label that has all the lines it has room for, by its middle (x, y), width and height."""
    width, height = LABEL_SIZES[label.lines - 1]
    x, y, anchor = label_origin(label, label.lines)
    middle = {"start": x + width / 2, "middle": x, "end": x - width / 2}[anchor]
    return Box(middle, y - 4 + LINE_HEIGHT / 2 * (label.lines - 1), width, height)


def _touch(one: Box, other: Box) -> bool:
    return (
        abs(one.along - other.along) < (one.length + other.length) / 2 - 1.5
        and abs(one.across - other.across) < (one.breadth + other.breadth) / 2 - 1.5
    )


def overlapping_labels(layout: Layout) -> int:
    """Return how many pairs of labels are over each other, each with all the lines it has room for."""
    boxes = [label_box(label) for label in layout.labels if label.lines]
    return sum(_touch(one, other) for one, other in combinations(boxes, 2))


def labels_on_nodes(graph: Graph, layout: Layout) -> list[str]:
    """Return which nodes the label of a link is over, with all the lines it has room for."""
    return [
        f"the label of {link.source.name} to {link.target.name} is on {node.name}"
        for link, label in zip(graph.links, layout.labels, strict=True)
        for node, middle in layout.nodes.items()
        if label.lines and _touch(label_box(label), Box(*middle, *SIZES[node.kind]))
    ]


def labels_on_links(graph: Graph, layout: Layout) -> list[str]:
    """Return which labels are over another link than their own."""
    return [
        f"the label of {link.source.name} to {link.target.name} is on a link of {other.source.name}"
        for link, label in zip(graph.links, layout.labels, strict=True)
        for other, points in zip(graph.links, layout.links, strict=True)
        if other is not link and label.lines
        if any(_touch(label_box(label), Box(*point, 2, 2)) for point in drawn_points(layout, points))
    ]


def crossings(layout: Layout) -> int:
    """Return how often two links cross. Their curves cross where the straight lines between their points do."""
    lines = [(at, line) for at, points in enumerate(layout.links) for line in pairwise(points)]
    return sum(_cross(one, other) for (at, one), (to, other) in combinations(lines, 2) if at != to)


def _cross(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    return _turn(*one, other[0]) * _turn(*one, other[1]) < 0 and _turn(*other, one[0]) * _turn(*other, one[1]) < 0


def _turn(start: Point, end: Point, point: Point) -> float:
    """Return more than 0 if `point` is at one side of the line, less if it is at the other."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
