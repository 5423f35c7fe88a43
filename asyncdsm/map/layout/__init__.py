"""Where nodes, links and their labels are drawn: in layers, as messages travel. The page and the image share it."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

from asyncdsm.map.graph import Graph, Link, Node, link_key
from asyncdsm.map.layout.labels import Label, place_labels
from asyncdsm.map.layout.routes import Box, Point, route_links
from asyncdsm.map.layout.sugiyama import Place, draw_layered

SIZES = {"service": (168.0, 48.0), "queue": (150.0, 40.0)}
"""Width and height of nodes, in pixels."""
MARGIN = 32.0
LABEL_SIZES = ((54.0, 16.0), (86.0, 29.0), (86.0, 42.0))
"""Width and height of a label of one, two and three lines: the median, the 99th percentile, since when."""
LINE_HEIGHT = 13.0
"""From a line of a label to the next one, in pixels."""
LABEL_DISTANCE = 5.0
"""From a link to its label, in pixels."""
CACHED_LAYOUTS = 8

FlowName = Literal["right", "down"]
Side = Literal["above", "below", "left", "right"]


class Flow(NamedTuple):
    """Which way messages travel, and distances in pixels."""

    name: FlowName
    layer_distance: float
    """From the middle of a layer to that of the next one."""
    node_distance: float
    """From the middle of a node to that of the next one in its layer."""

    def point(self, along: float, across: float) -> Point:
        """Return (x, y) of a place given along the flow and across it."""
        return (along, across) if self.name == "right" else (across, along)


FLOWS: dict[str, Flow] = {flow.name: flow for flow in (Flow("right", 256.0, 84.0), Flow("down", 96.0, 190.0))}
SIDES: dict[tuple[FlowName, int], Side] = {
    ("right", -1): "above",
    ("right", 1): "below",
    ("down", -1): "left",
    ("down", 1): "right",
}


class PlacedLabel(NamedTuple):
    """The point of a link that its label is next to, in pixels, and how many lines of text have room there, if any."""

    x: float
    y: float
    side: Side
    """Where the label is, seen from the point."""
    lines: int


class Layout(NamedTuple):
    """Places in pixels: the middle of each node, the points that each link passes, and its label, by its index."""

    flow: Flow
    width: float
    height: float
    nodes: dict[Node, Point]
    links: list[list[Point]]
    labels: list[PlacedLabel]


def lay_out_graph(graph: Graph, flow: str = "right") -> Layout:
    """Return the layout of a graph.

    It depends only on the nodes, the links, their labels' numbers of lines, and the entries, in any order. The last
    layouts are cached: for an equal graph the same layout is returned again.
    """
    nodes = tuple(sorted(graph.nodes, key=lambda node: (node.kind != "service", node)))
    numbers = {node: number for number, node in enumerate(nodes)}
    order = sorted(range(len(graph.links)), key=lambda index: link_key(graph.links[index]))
    ends = tuple((numbers[graph.links[index].source], numbers[graph.links[index].target]) for index in order)
    entries = frozenset(numbers[node] for node in graph.entries if node in numbers)
    lines = tuple(_count_lines(graph.links[index]) for index in order)
    layout = _lay_out(nodes, ends, entries, lines, FLOWS[flow])
    if order == list(range(len(order))):
        return layout
    back = sorted(range(len(order)), key=order.__getitem__)
    return layout._replace(links=[layout.links[at] for at in back], labels=[layout.labels[at] for at in back])


def _count_lines(link: Link) -> int:
    """Return how many lines a link's label has: median, 99th percentile, since when; 0 without an edge."""
    if link.edge is None:
        return 0
    present = link.edge.present
    return 1 + (present.tail is not None) + (present.since is not None)


class _Drawing(NamedTuple):
    """The boxes of nodes and the points of links, along the flow and across it."""

    boxes: list[Box]
    links: list[list[Point]]


@lru_cache(CACHED_LAYOUTS)
def _draw(nodes: tuple[Node, ...], ends: tuple[tuple[int, int], ...], entries: frozenset[int], flow: Flow) -> _Drawing:
    drawing = draw_layered(len(nodes), ends, entries)
    layer, row = flow.point(*SIZES["service"])

    def in_pixels(place: Place) -> Point:
        return MARGIN + layer / 2 + place[0] * flow.layer_distance, MARGIN + row / 2 + place[1] * flow.node_distance

    sizes = [flow.point(*SIZES[node.kind]) for node in nodes]
    boxes = [Box(*in_pixels(place), *size) for place, size in zip(drawing.nodes, sizes, strict=True)]
    return _Drawing(boxes, route_links(boxes, ends, [list(map(in_pixels, places)) for places in drawing.bends], layer))


@lru_cache(CACHED_LAYOUTS)
def _lay_out(
    nodes: tuple[Node, ...],
    ends: tuple[tuple[int, int], ...],
    entries: frozenset[int],
    lines: tuple[int, ...],
    flow: Flow,
) -> Layout:
    boxes, links = _draw(nodes, ends, entries, flow)
    layer, row = flow.point(*SIZES["service"])
    labels = place_labels(boxes, links, lines, [flow.point(*size) for size in LABEL_SIZES], LABEL_DISTANCE)
    points = [*(box[:2] for box in boxes), *(point for link in links for point in link)]
    reach = [max((point[axis] for point in points), default=0.0) for axis in (0, 1)]
    width, height = flow.point(reach[0] + MARGIN + layer / 2, reach[1] + MARGIN + row / 2)
    middles = {node: flow.point(box.along, box.across) for node, box in zip(nodes, boxes, strict=True)}
    drawn = [[flow.point(*at) for at in link] for link in links]
    return Layout(flow, width, height, middles, drawn, [_placed_label(flow, label) for label in labels])


def _placed_label(flow: Flow, label: Label) -> PlacedLabel:
    return PlacedLabel(*flow.point(label.along, label.across), SIDES[flow.name, label.side], label.lines)


def label_origin(label: PlacedLabel, lines: int) -> tuple[float, float, str]:
    """Return x, y (the baseline) and SVG `text-anchor` of the first of a label's `lines`."""
    if label.side in ("above", "below"):
        y = (
            label.y - LABEL_DISTANCE - 3 - LINE_HEIGHT * (lines - 1)
            if label.side == "above"
            else label.y + LABEL_DISTANCE + 11
        )
        return label.x, y, "middle"
    x, anchor = (label.x + LABEL_DISTANCE, "start") if label.side == "right" else (label.x - LABEL_DISTANCE, "end")
    return x, label.y + 4 - LINE_HEIGHT / 2 * (lines - 1), anchor


def curve_path(points: list[Point]) -> str:
    """Return the SVG path of a link that flows to the right. The curve is horizontal at each of its points."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = (x + to_x) / 2
        parts.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(parts)
