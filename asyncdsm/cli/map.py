"""`asyncdsm map`: the map once, for pipelines and READMEs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable

from msgspec import to_builtins

from asyncdsm.cli.agent_client import NoAnswerError, client_of, topology_from
from asyncdsm.map.dot import dot
from asyncdsm.map.graph import graph_of
from asyncdsm.map.mermaid import mermaid
from asyncdsm.map.svg import svg
from asyncdsm.map.text import WIDTH, text
from asyncdsm.map.topology import Topology


def _table(topology: Topology) -> str:
    return text(topology, shutil.get_terminal_size((WIDTH, 0)).columns)


FORMATS: dict[str, Callable[[Topology], str]] = {
    "text": _table,
    "dot": lambda topology: dot(graph_of(topology)),
    "mermaid": lambda topology: mermaid(graph_of(topology)),
    "json": lambda topology: json.dumps(to_builtins(topology), indent=2) + "\n",
    "svg": lambda topology: svg(graph_of(topology)),
}


def print_map(url: str, token: str | None, minutes: int, format_: str) -> int:
    """Print the map; return the exit code."""
    try:
        with client_of(url, token) as client:
            topology = topology_from(client, minutes)
    except NoAnswerError as error:
        print(f"asyncdsm map: {error}", file=sys.stderr)
        return 1
    sys.stdout.write(FORMATS[format_](topology))
    return 0
