"""The map that the page draws: the topology, and where its nodes and links are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from asyncdsm.agent.queries.answers import DrawnMap, MapGroup, MapLabel, MapLink, MapNode
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.left_queues import add_left_queues
from asyncdsm.agent.queries.quiet_services import add_quiet_services, read_quiet_services
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.versions import ServiceKey
from asyncdsm.core.edge import MOST_PATHWAYS
from asyncdsm.map.descriptions import find_environments, label_node, qualify_nodes
from asyncdsm.map.graph import Graph, Link, Node, build_graph, link_key
from asyncdsm.map.group_boxes import GroupBox, lay_out_groups
from asyncdsm.map.layout import LABEL_DISTANCE, LINE_HEIGHT, SIZES, FlowName, Layout, PlacedLabel, lay_out_graph
from asyncdsm.map.layout.routes import Point
from asyncdsm.map.levels import LEVELS, stroke_width
from asyncdsm.map.selection import MapFilter, restrict_graph, select_nodes
from asyncdsm.map.strings import plain_text
from asyncdsm.map.topology import Topology

EVERYTHING = MapFilter()
NOT_DRAWN = PlacedLabel(0.0, 0.0, "above", 0)


def draw_range(
    topology: Topology, reader: HistoryReader, time_range: TimeRange, flow: FlowName, wanted: MapFilter
) -> DrawnMap:
    """Return the map of the topology of a time range, with what is quiet or left unread at its end."""
    topology = add_left_queues(topology, reader.store, time_range)
    quiet = read_quiet_services(reader, time_range)
    if quiet:
        topology = add_quiet_services(topology, reader.store, quiet, time_range)
    return draw_map(topology, flow, wanted, oldest=reader.store.oldest_start(), quiet=quiet)


def draw_map(
    topology: Topology,
    flow: FlowName,
    wanted: MapFilter = EVERYTHING,
    *,
    oldest: float | None = None,
    quiet: Mapping[ServiceKey, float] = MappingProxyType({}),
) -> DrawnMap:
    """Return a topology with its layout, without the points of pathways: `/api/pathways` has whole pathways.

    Everything is in it; only what is wanted is laid out and shown. `oldest` is when the data of the agent begin, and
    `quiet` since when services are quiet.
    """
    graph = build_graph(topology)
    drawn = restrict_graph(graph, select_nodes(graph, wanted))
    drawn, layout, groups = _lay_out(drawn, flow, wanted)
    return DrawnMap(
        from_=topology.from_,
        to=topology.to,
        minutes=topology.minutes,
        seconds=topology.seconds,
        services=topology.services,
        queues=topology.queues,
        edges=topology.edges,
        lag=topology.lag,
        cut=topology.cut,
        flow=flow,
        width=layout.width,
        height=layout.height,
        left_out=graph.left_out,
        oldest=oldest,
        most_pathways=MOST_PATHWAYS,
        levels=[level.label for level in LEVELS],
        line_height=LINE_HEIGHT,
        label_distance=LABEL_DISTANCE,
        nodes=[
            _node(node, qualifier, layout, quiet.get((node.name, node.where)) if node.kind == "service" else None)
            for node, qualifier in qualify_nodes(graph.nodes, find_environments(topology.edges)).items()
        ],
        links=_links(graph, drawn, layout),
        groups=[_map_group(box) for box in groups],
    )


def _lay_out(graph: Graph, flow: FlowName, wanted: MapFilter) -> tuple[Graph, Layout, list[GroupBox]]:
    if wanted.group is None:
        return graph, lay_out_graph(graph, flow), []
    return lay_out_groups(graph, flow, wanted.group, wanted.fold)


def _map_group(box: GroupBox) -> MapGroup:
    services = sum(node.kind == "service" for node in box.nodes)
    return MapGroup(
        key=box.key,
        services=services,
        queues=len(box.nodes) - services,
        folded=box.folded,
        x=round(box.x, 1),
        y=round(box.y, 1),
        width=round(box.width, 1),
        height=round(box.height, 1),
    )


def _node(node: Node, qualifier: str, layout: Layout, quiet_since: float | None) -> MapNode:
    (x, y), (width, height) = layout.nodes.get(node, (0.0, 0.0)), SIZES[node.kind]
    return MapNode(
        id=node.id,
        kind=node.kind,
        name=node.name,
        where=node.where,
        cluster=node.cluster or None,
        label=label_node(node, qualifier),
        qualifier=plain_text(qualifier),
        shown=node in layout.nodes,
        quiet_since=quiet_since,
        x=round(x, 1),
        y=round(y, 1),
        width=width,
        height=height,
    )


def _links(graph: Graph, drawn: Graph, layout: Layout) -> list[MapLink]:
    """Return all links of a graph, with the places of those that are drawn."""
    places = dict(zip(map(link_key, drawn.links), zip(layout.links, layout.labels, strict=True), strict=True))
    return [_map_link(link, *places.get(link_key(link), ([], NOT_DRAWN))) for link in graph.links]


def _map_link(link: Link, points: list[Point], label: PlacedLabel) -> MapLink:
    return MapLink(
        edge=None if link.edge is None else link.edge.id,
        from_=link.source.id,
        to=link.target.id,
        points=[(round(x, 1), round(y, 1)) for x, y in points],
        label=MapLabel(x=round(label.x, 1), y=round(label.y, 1), side=label.side, lines=label.lines),
        width=round(stroke_width(0.0 if link.edge is None else link.edge.present.rate), 1),
    )
