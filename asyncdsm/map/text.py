"""The map as plain text: the table of the terminal, and the warnings."""

from __future__ import annotations

import io

from rich.console import Console

from asyncdsm.map.graph import Node
from asyncdsm.map.naming import label_of, qualifiers
from asyncdsm.map.terminal import render
from asyncdsm.map.topology import Topology

WIDTH = 120
LONGEST = 60


def text(topology: Topology, width: int = WIDTH) -> str:
    """Return the table, without colours, and a line for each service that has something wrong."""
    page = io.StringIO()
    Console(file=page, width=width, color_system=None, force_terminal=False, legacy_windows=False).print(
        render(topology)
    )
    lines = [line.rstrip() for line in page.getvalue().splitlines()] + warnings(topology)
    return "\n".join(lines) + "\n"


def warnings(topology: Topology) -> list[str]:
    """Return what is wrong at services, a line each."""
    found: list[str] = []
    nodes = [Node("service", service.name, service.env) for service in topology.services]
    named = qualifiers(nodes)
    for service, node in zip(topology.services, nodes, strict=True):
        name = label_of(node, named[node], LONGEST)
        if service.too_many_pathways:
            found.append(f"{name} has {service.pathways} distinct pathways: Datadog drops what such a service reports")
        if service.clocks_disagree:
            found.append(f"{name}: clocks disagree, many messages seem to arrive before they were sent")
    return found
