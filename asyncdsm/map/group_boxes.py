"""Where groups of services and queues are drawn: each in a box of its own, beside the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from asyncdsm.map.graph import Graph, Link, Node, link_key
from asyncdsm.map.groups import GroupedBy, find_groups
from asyncdsm.map.layout import FLOWS, MARGIN, SIZES, Layout, PlacedLabel, lay_out_graph
from asyncdsm.map.layout.routes import Point
from asyncdsm.map.selection import restrict_graph

TITLE_HEIGHT = 34.0
"""Above the nodes of a group, in pixels."""
GAP = 24.0
"""Between two groups, in pixels."""
FOLDED_WIDTH = 320.0


class GroupBox(NamedTuple):
    """A group on the drawing: `x` and `y` are the corner of its box, in pixels."""

    key: str
    """`env:` or `cluster:` and the name, or `shared`."""
    nodes: list[Node]
    folded: bool
    x: float
    y: float
    width: float
    height: float


def lay_out_groups(
    graph: Graph, flow: str, by: GroupedBy, folded: Iterable[str] = ()
) -> tuple[Graph, Layout, list[GroupBox]]:
    """Return the layout of a graph in which each group has a box of its own, beside the others.

    The graph that is returned has no nodes of groups that are folded.
    """
    folded, offset = set(folded), MARGIN
    boxes, nodes = list[GroupBox](), dict[Node, Point]()
    placed: dict[tuple[Node, Node, str], tuple[list[Point], PlacedLabel]] = {}
    is_right = FLOWS[flow].name == "right"
    for key, members in find_groups(graph, by).items():
        part = restrict_graph(graph, frozenset() if key in folded else frozenset(members))
        layout = lay_out_graph(part, flow)
        width, height = (FOLDED_WIDTH, 0.0) if key in folded else (max(layout.width, FOLDED_WIDTH), layout.height)
        corner = (MARGIN, offset) if is_right else (offset, MARGIN)
        boxes.append(GroupBox(key, members, key in folded, *corner, width, height + TITLE_HEIGHT))
        offset += (height + TITLE_HEIGHT if is_right else width) + GAP
        _move(part, layout, (corner[0], corner[1] + TITLE_HEIGHT), nodes, placed)
    shown = restrict_graph(graph, frozenset(nodes))
    for link in shown.links:
        placed.setdefault(link_key(link), (_cross(link, nodes, is_right=is_right), PlacedLabel(0.0, 0.0, "above", 0)))
    ends = [(box.x + box.width, box.y + box.height) for box in boxes]
    drawn = [placed[link_key(link)] for link in shown.links]
    whole = Layout(
        FLOWS[flow],
        max((x for x, _ in ends), default=0.0) + MARGIN,
        max((y for _, y in ends), default=0.0) + MARGIN,
        nodes,
        [points for points, _ in drawn],
        [_near_middle(points, label) for points, label in drawn],
    )
    return shown, whole, boxes


def _move(
    part: Graph,
    layout: Layout,
    by: Point,
    nodes: dict[Node, Point],
    placed: dict[tuple[Node, Node, str], tuple[list[Point], PlacedLabel]],
) -> None:
    """Add the places of a group's nodes and links, moved to where its box is."""

    def moved(point: Point) -> Point:
        return point[0] + by[0], point[1] + by[1]

    nodes.update({node: moved(point) for node, point in layout.nodes.items()})
    for link, points, label in zip(part.links, layout.links, layout.labels, strict=True):
        x, y = moved((label.x, label.y))
        placed[link_key(link)] = list(map(moved, points)), label._replace(x=x, y=y)


def _cross(link: Link, nodes: dict[Node, Point], *, is_right: bool) -> list[Point]:
    """Return the points of a link from one group to another: from the end of a node to the beginning of the other."""
    (x, y), (to_x, to_y) = nodes[link.source], nodes[link.target]
    axis = 0 if is_right else 1
    before, after = SIZES[link.source.kind][axis] / 2, SIZES[link.target.kind][axis] / 2
    return [(x + before, y), (to_x - after, to_y)] if is_right else [(x, y + before), (to_x, to_y - after)]


def _near_middle(points: list[Point], label: PlacedLabel) -> PlacedLabel:
    if label.lines or not points:
        return label
    (x, y), (to_x, to_y) = points[0], points[-1]
    return label._replace(x=(x + to_x) / 2, y=(y + to_y) / 2)
