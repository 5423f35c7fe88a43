"""Where everything is drawn: in layers, as messages travel. The page and the image have this layout in common."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.agent.graph import Graph, Link, Node
from asyncdsm.agent.labels import place_labels
from asyncdsm.agent.layered import Place, draw_layered
from asyncdsm.agent.routes import Box, Point, route_links

SIZES = {"service": (168.0, 48.0), "queue": (150.0, 36.0)}
MARGIN = 24.0
LABEL_SIZE = (42.0, 22.0)
"""The room of a link's label: one line and, where it is above its link, the distance to it."""
KEPT_LAYOUTS = 8


class Flow(NamedTuple):
    """Which way messages travel, and distances in pixels."""

    name: str
    layers: float
    """From the middle of a layer to that of the next one."""
    beside: float
    """From the middle of a node to that of the next one in its layer."""
    label: float
    """From a link to the middle of its label."""

    def point(self, along: float, across: float) -> Point:
        """Return (x, y) of a place given along the flow and across it."""
        return (along, across) if self.name == "right" else (across, along)


FLOWS = {flow.name: flow for flow in (Flow("right", 224.0, 72.0, -6.0), Flow("down", 92.0, 182.0, 31.0))}


class Layout(NamedTuple):
    """Places in pixels: the middle of each node, and the points that each link passes, by its index."""

    flow: Flow
    width: float
    height: float
    nodes: dict[Node, Point]
    links: list[list[Point]]
    labels: list[Point]
    """The point of each link that its label is at: above it where messages travel to the right, else beside it."""


def layout_of(graph: Graph, flow: str = "right") -> Layout:
    """Return the layout. It depends on nothing but the nodes, the links and the entries, whatever order they are in.

    The last layouts are kept: for the same nodes, links and entries the same layout is returned again.
    """
    nodes = tuple(sorted(graph.nodes, key=lambda node: (node.kind != "service", node)))
    numbers = {node: number for number, node in enumerate(nodes)}
    order = sorted(range(len(graph.links)), key=lambda index: _name(graph.links[index]))
    ends = tuple((numbers[graph.links[index].source], numbers[graph.links[index].target]) for index in order)
    entries = frozenset(numbers[node] for node in graph.entries if node in numbers)
    layout = _layout(nodes, ends, entries, FLOWS[flow])
    if order == list(range(len(order))):
        return layout
    back = sorted(range(len(order)), key=order.__getitem__)
    return layout._replace(links=[layout.links[at] for at in back], labels=[layout.labels[at] for at in back])


def _name(link: Link) -> tuple[Node, Node, str]:
    return link.source, link.target, link.edge["id"] if link.edge else ""


@lru_cache(KEPT_LAYOUTS)
def _layout(nodes: tuple[Node, ...], ends: tuple[tuple[int, int], ...], entries: frozenset[int], flow: Flow) -> Layout:
    drawing = draw_layered(len(nodes), ends, entries)
    layer, row = flow.point(*SIZES["service"])

    def in_pixels(place: Place) -> Point:
        return MARGIN + layer / 2 + place[0] * flow.layers, MARGIN + row / 2 + place[1] * flow.beside

    sizes = [flow.point(*SIZES[node.kind]) for node in nodes]
    boxes = [Box(*in_pixels(place), *size) for place, size in zip(drawing.nodes, sizes, strict=True)]
    links = route_links(boxes, ends, [list(map(in_pixels, places)) for places in drawing.bends], layer)
    labels = place_labels(boxes, links, flow.point(*LABEL_SIZE), flow.label)
    points = [*(box[:2] for box in boxes), *(point for link in links for point in link)]
    reach = [max((point[axis] for point in points), default=0.0) for axis in (0, 1)]
    width, height = flow.point(reach[0] + MARGIN + layer / 2, reach[1] + MARGIN + row / 2)
    middles = {node: flow.point(box.along, box.across) for node, box in zip(nodes, boxes, strict=True)}
    drawn = [[flow.point(*at) for at in link] for link in links]
    return Layout(flow, width, height, middles, drawn, [flow.point(*label) for label in labels])


def curve(points: list[Point]) -> str:
    """Return the SVG path of a link that flows to the right. It is level at each of its points."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = (x + to_x) / 2
        parts.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(parts)
