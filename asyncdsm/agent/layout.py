"""Where everything is drawn: in layers, as messages travel. The page and the image have this layout in common."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from asyncdsm.agent.graph import Graph, Link, Node
from asyncdsm.agent.layered import Place, draw_layered

SIZES = {"service": (168.0, 48.0), "queue": (150.0, 36.0)}
MARGIN = 24.0
PORTS_APART = 12.0
KEPT_LAYOUTS = 8

Point = tuple[float, float]
Ends = tuple[tuple[int, int], ...]


class Flow(NamedTuple):
    """Which way messages travel; how many pixels the layers are apart, and the nodes in a layer."""

    name: str
    layers: float
    beside: float

    def point(self, along: float, across: float) -> Point:
        """Return (x, y) of a place given along the flow and across it."""
        return (along, across) if self.name == "right" else (across, along)


FLOWS = {flow.name: flow for flow in (Flow("right", 224.0, 72.0), Flow("down", 92.0, 182.0))}


class Layout(NamedTuple):
    """Places in pixels: the middle of each node, and the points that each link passes, by its index."""

    flow: Flow
    width: float
    height: float
    nodes: dict[Node, Point]
    links: list[list[Point]]


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
    links = dict(zip(order, layout.links, strict=True))
    return layout._replace(links=[links[index] for index in range(len(order))])


def _name(link: Link) -> tuple[Node, Node, str]:
    return link.source, link.target, link.edge["id"] if link.edge else ""


@lru_cache(KEPT_LAYOUTS)
def _layout(nodes: tuple[Node, ...], ends: Ends, entries: frozenset[int], flow: Flow) -> Layout:
    drawing = draw_layered(len(nodes), ends, entries)
    length, breadth = flow.point(*SIZES["service"])
    margin = (MARGIN + length / 2, MARGIN + breadth / 2)

    def point(place: Place) -> Point:
        return margin[0] + place[0] * flow.layers, margin[1] + place[1] * flow.beside

    middles = [point(place) for place in drawing.nodes]
    bends = [[point(place) for place in places] for places in drawing.bends]
    ports = _ports(nodes, ends, middles, bends, flow)
    links = [
        _straightened(
            [ports[index, "from"], *_level(bends[index], length / 2 * _side(middles, link)), ports[index, "to"]]
        )
        for index, link in enumerate(ends)
    ]
    reach = [max((at[axis] for line in (middles, *links) for at in line), default=0.0) for axis in (0, 1)]
    width, height = flow.point(reach[0] + margin[0], reach[1] + margin[1])
    named = {node: flow.point(*middles[number]) for number, node in enumerate(nodes)}
    return Layout(flow, width, height, named, [[flow.point(*at) for at in link] for link in links])


def _side(middles: list[Point], link: tuple[int, int]) -> int:
    """Return from which side of its source a link leaves: 1 with the flow, -1 against it."""
    source, target = link
    return 1 if middles[source][0] <= middles[target][0] else -1


def _level(bends: Iterable[Point], half: float) -> Iterable[Point]:
    """Yield two points for each bend: a link passes the nodes of a layer on a level, and turns between layers."""
    for along, across in bends:
        yield along - half, across
        yield along + half, across


def _ports(
    nodes: tuple[Node, ...], ends: Ends, middles: list[Point], bends: list[list[Point]], flow: Flow
) -> dict[tuple[int, str], Point]:
    """Return where each link leaves its source and reaches its target. Each has a place of its own."""
    sides: defaultdict[tuple[int, int], list[tuple[float, int, str]]] = defaultdict(list)
    for index, (source, target) in enumerate(ends):
        side = _side(middles, (source, target))
        passed = [middles[source], *bends[index], middles[target]]
        sides[source, side].append((passed[1][1], index, "from"))
        sides[target, -side].append((passed[-2][1], index, "to"))
    ports = dict[tuple[int, str], Point]()
    for (node, side), links in sides.items():
        along, across = middles[node]
        length, breadth = flow.point(*SIZES[nodes[node].kind])
        step = min(PORTS_APART, (breadth - PORTS_APART) / len(links))
        for at, (_, index, end) in enumerate(sorted(links)):
            ports[index, end] = (along + side * length / 2, across + (at - (len(links) - 1) / 2) * step)
    return ports


def _straightened(points: list[Point]) -> list[Point]:
    """Return the points without those at which a link does not turn."""
    turns = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [points[0], *turns, points[-1]]


def curve(points: list[Point]) -> str:
    """Return the SVG path of a link that flows to the right. It is level at each of its points."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = (x + to_x) / 2
        parts.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(parts)
