"""The map that the page draws: the topology, and where its nodes and links are."""

from __future__ import annotations

from asyncdsm.agent.queries.answers import DrawnMap, MapLabel, MapLink, MapNode
from asyncdsm.core.edge import MOST_PATHWAYS
from asyncdsm.map.descriptions import label_node, qualify_nodes
from asyncdsm.map.graph import Graph, Node, build_graph
from asyncdsm.map.layout import LABEL_DISTANCE, LINE_HEIGHT, SIZES, FlowName, Layout, lay_out_graph
from asyncdsm.map.levels import LEVELS, stroke_width
from asyncdsm.map.strings import plain_text
from asyncdsm.map.topology import Topology


def draw_map(topology: Topology, flow: FlowName, oldest: float | None = None) -> DrawnMap:
    """Return a topology with its layout, without the points of pathways: `/api/pathways` has whole pathways.

    `oldest` is when the data of the agent begin.
    """
    graph = build_graph(topology)
    layout = lay_out_graph(graph, flow)
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
        nodes=[_node(node, qualifier, layout) for node, qualifier in qualify_nodes(graph.nodes).items()],
        links=_links(graph, layout),
    )


def _node(node: Node, qualifier: str, layout: Layout) -> MapNode:
    (x, y), (width, height) = layout.nodes[node], SIZES[node.kind]
    return MapNode(
        id=node.id,
        kind=node.kind,
        name=node.name,
        where=node.where,
        cluster=node.cluster or None,
        label=label_node(node, qualifier),
        qualifier=plain_text(qualifier),
        x=round(x, 1),
        y=round(y, 1),
        width=width,
        height=height,
    )


def _links(graph: Graph, layout: Layout) -> list[MapLink]:
    return [
        MapLink(
            edge=None if link.edge is None else link.edge.id,
            from_=link.source.id,
            to=link.target.id,
            points=[(round(x, 1), round(y, 1)) for x, y in points],
            label=MapLabel(x=round(label.x, 1), y=round(label.y, 1), side=label.side, lines=label.lines),
            width=round(stroke_width(0.0 if link.edge is None else link.edge.present.rate), 1),
        )
        for link, points, label in zip(graph.links, layout.links, layout.labels, strict=True)
    ]
