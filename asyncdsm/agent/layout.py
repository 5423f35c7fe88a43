"""Where everything stands: in layers, as messages travel. One layout for the page and for the image.

By Sugiyama's method, of igraph below 1.0: that of 1.0.0 reads memory which is not its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from asyncdsm.agent.graph import Graph, Node

SIZES = {"service": (168.0, 48.0), "queue": (150.0, 36.0)}
MARGIN = 24.0
PORTS_APART = 12.0
KEPT_LAYOUTS = 8
LARGE = 100
"""With more links than this, those against the stream and those over `LONG` layers go straight across the others:
a way of their own around all of them would take more room than everything else."""
LONG = 3

Point = tuple[float, float]
Ends = tuple[tuple[int, int], ...]


class Flow(NamedTuple):
    """Which way messages travel: how far apart, in pixels, the layers are, and what stands side by side in one."""

    name: str
    layers: float
    beside: float

    def point(self, along: float, across: float) -> Point:
        """Return (x, y) of a place given along the flow and across it."""
        return (along, across) if self.name == "right" else (across, along)


FLOWS = {flow.name: flow for flow in (Flow("right", 224.0, 72.0), Flow("down", 92.0, 182.0))}


class Layout(NamedTuple):
    """Places in pixels: the middle of each node, and for each link, by its index, the points that it passes."""

    flow: Flow
    width: float
    height: float
    nodes: dict[Node, Point]
    links: list[list[Point]]


def layout_of(graph: Graph, flow: str = "right") -> Layout:
    """Return the layout; asked again for nodes and links that have not changed, the one from before."""
    numbers = {node: number for number, node in enumerate(graph.nodes)}
    ends = tuple((numbers[link.source], numbers[link.target]) for link in graph.links)
    return _layout(tuple(graph.nodes), ends, FLOWS[flow])


@lru_cache(KEPT_LAYOUTS)
def _layout(nodes: tuple[Node, ...], ends: Ends, flow: Flow) -> Layout:
    steps, bends = _sugiyama(len(nodes), ends)
    margin = flow.point(*SIZES["service"])
    margin = (MARGIN + margin[0] / 2, MARGIN + margin[1] / 2)

    def place(step: Point) -> Point:
        return margin[0] + step[0] * flow.layers, margin[1] + step[1] * flow.beside

    middles = [place(step) for step in steps]
    ports = _ports(nodes, ends, middles, flow)
    links = [
        _straightened([ports[index, "from"], *map(place, bends[index]), ports[index, "to"]])
        for index in range(len(ends))
    ]
    reach = [max((point[axis] for line in (middles, *links) for point in line), default=0.0) for axis in (0, 1)]
    width, height = flow.point(reach[0] + margin[0], reach[1] + margin[1])
    named = {node: flow.point(*middles[number]) for number, node in enumerate(nodes)}
    return Layout(flow, width, height, named, [[flow.point(*point) for point in link] for link in links])


def _sugiyama(count: int, ends: Ends) -> tuple[list[Point], list[list[Point]]]:
    """Return (layer, place in it) of each node, and of what each link passes between, from its source on."""
    from igraph import Graph as Drawing  # noqa: PLC0415  (only what draws needs it)

    routed, layers = list(range(len(ends))), None
    if len(ends) > LARGE:
        against = set(Drawing(n=count, edges=ends, directed=True).feedback_arc_set(None, "eades"))
        along: Any = Drawing(n=count, edges=[end for at, end in enumerate(ends) if at not in against], directed=True)
        layers = [round(layer) for _, layer in along.layout_sugiyama().coords[:count]]
        routed = [at for at, (source, target) in enumerate(ends) if 0 < layers[target] - layers[source] <= LONG]
    drawing: Any = Drawing(n=count, edges=[ends[at] for at in routed], directed=True)
    layout, extended = drawing.layout_sugiyama(layers=layers, return_extended_graph=True)
    places = _apart(layout.coords)
    bends: list[list[Point]] = [[] for _ in ends]
    for at, passed in zip(routed, _passed(extended, [ends[at] for at in routed]), strict=True):
        bends[at] = [places[number] for number in passed]
    return places[:count], bends


def _apart(coords: list[list[float]]) -> list[Point]:
    """Return (layer, place) from zero on, no two at one place: where a graph has several parts, igraph puts some so."""
    places, last = [(0.0, 0.0)] * len(coords), dict[float, float]()
    first = min((place for place, _ in coords), default=0.0)
    for place, layer, number in sorted((place, layer, number) for number, (place, layer) in enumerate(coords)):
        last[layer] = max(place - first, last.get(layer, -1.0) + 1.0)
        places[number] = (layer, last[layer])
    return places


def _passed(extended: Any, ends: list[tuple[int, int]]) -> Iterator[list[int]]:
    """Yield the vertices that igraph put between the two ends of each link."""
    following: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for (tail, head), original in zip(extended.get_edgelist(), extended.es["_original_eid"], strict=True):
        following[original][tail] = head
    for index, (source, target) in enumerate(ends):
        passed, at = list[int](), following[index][source]
        while at != target:
            passed.append(at)
            at = following[index][at]
        yield passed


def _ports(nodes: tuple[Node, ...], ends: Ends, middles: list[Point], flow: Flow) -> dict[tuple[int, str], Point]:
    """Return where each link leaves its source and reaches its target, none where another one does."""
    sides: defaultdict[tuple[int, int], list[tuple[float, int, str]]] = defaultdict(list)
    for index, (source, target) in enumerate(ends):
        side = 1 if middles[source][0] <= middles[target][0] else -1  # against the stream, out of the other side
        sides[source, side].append((middles[target][1], index, "from"))
        sides[target, -side].append((middles[source][1], index, "to"))
    ports = dict[tuple[int, str], Point]()
    for (node, side), links in sides.items():
        along, across = middles[node]
        length, breadth = flow.point(*SIZES[nodes[node].kind])
        step = min(PORTS_APART, (breadth - PORTS_APART) / len(links))
        for at, (_, index, end) in enumerate(sorted(links)):
            ports[index, end] = (along + side * length / 2, across + (at - (len(links) - 1) / 2) * step)
    return ports


def _straightened(points: list[Point]) -> list[Point]:
    """Leave out the places between that lie on the straight way."""
    turns = [
        point
        for before, point, after in zip(points, points[1:], points[2:], strict=False)
        if not before[1] == point[1] == after[1]
    ]
    return [points[0], *turns, points[-1]]


def curve(points: list[Point]) -> str:
    """Return the path of a link that flows to the right, in SVG's words: level at each of its points."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = (x + to_x) / 2
        parts.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(parts)
