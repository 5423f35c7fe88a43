"""The map as plain text: the table of the terminal, and the warnings."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

from rich.console import Console

from asyncdsm.map.descriptions import (
    describe_deliveries,
    describe_silence,
    describe_since,
    describe_slower,
    find_environments,
    label_node,
    label_nodes,
    qualify_nodes,
)
from asyncdsm.map.graph import Node, build_link
from asyncdsm.map.strings import format_age, format_hop, format_moment
from asyncdsm.map.terminal import MapTable
from asyncdsm.map.topology import Queue, Topology

WIDTH = 120
LONGEST = 60


def write_text(topology: Topology, width: int = WIDTH) -> str:
    """Return the table, without colors, and a line for each warning."""
    page = io.StringIO()
    console = Console(file=page, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(MapTable(topology))
    lines = [line.rstrip() for line in page.getvalue().splitlines()] + list_warnings(topology)
    return "\n".join(lines) + "\n"


def list_warnings(topology: Topology) -> list[str]:
    """Return what is wrong with services and queues, a line each."""
    found: list[str] = []
    nodes = [Node("service", service.name, service.env) for service in topology.services]
    qualifiers = qualify_nodes(nodes)
    for service, node in zip(topology.services, nodes, strict=True):
        name = label_node(node, qualifiers[node], LONGEST)
        if service.quiet_since is not None:
            silence = describe_silence(max(0.0, topology.to - service.quiet_since))
            found.append(f"{name} {silence}, since {format_moment(service.quiet_since)}")
        if service.too_many_pathways:
            found.append(f"{name} has {service.pathways} distinct pathways: Datadog drops what such a service reports")
        if service.clocks_disagree:
            found.append(f"{name}: clocks disagree, many messages seem to arrive before they were sent")
        if service.reports_age is not None:
            age = format_age(service.reports_age)
            found.append(f"{name}: its clock seems to be behind, its reports are {age} old when they come")
    labels = _label_all(topology)
    told = (_list_slower, _list_unread, _list_deliveries)
    return [*found, *(line for list_lines in told for line in list_lines(topology, labels))]


def _list_slower(topology: Topology, labels: Mapping[Node, str]) -> Iterator[str]:
    """Yield which hops became slower, the slowest first."""
    slower = [edge for edge in topology.edges if edge.present.state == "slower"]
    for edge in sorted(slower, key=lambda edge: -edge.present.slowness):
        source, target, _ = build_link(edge)
        yield f"{format_hop(labels[source], labels[target])} {describe_slower(edge.present)}"


def _label_all(topology: Topology) -> dict[Node, str]:
    """Return what to call each node: what tells a node from one without a warning has to be said, too."""
    nodes = {node for edge in topology.edges for node in build_link(edge)[:2]}
    nodes |= {Node("service", service.name, service.env) for service in topology.services}
    nodes |= {_node_of(queue) for queue in topology.queues}
    return label_nodes(nodes, find_environments(topology.edges))


def _node_of(queue: Queue) -> Node:
    return Node("queue", queue.name, queue.type, queue.cluster or "")


def _list_unread(topology: Topology, labels: Mapping[Node, str]) -> Iterator[str]:
    for node, queue in ((_node_of(queue), queue) for queue in topology.queues if queue.unread):
        since = describe_since(queue.unread_since, topology.to)
        yield f"{labels[node]}: messages come in, but no service was seen reading them{since and f', {since}'}"


def _list_deliveries(topology: Topology, labels: Mapping[Node, str]) -> Iterator[str]:
    """Yield what messages said in the last minutes, of hops at which that needs attention."""
    hops = [(edge, build_link(edge)) for edge in topology.edges if edge.facts is not None and edge.facts.recent]
    for edge, (source, target, _) in hops:
        name = format_hop(labels[source], labels[target])
        yield from (f"{name}: {text}" for text in describe_deliveries(edge, topology.to))
