"""`asyncdsm map`: prints the map once, for scripts and README files."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable

from msgspec import to_builtins

from asyncdsm.cli.agent_client import NoAnswerError, fetch_topology, open_client
from asyncdsm.map.dot import write_dot
from asyncdsm.map.graph import build_graph
from asyncdsm.map.mermaid import write_mermaid
from asyncdsm.map.svg import write_svg
from asyncdsm.map.text import WIDTH, write_text
from asyncdsm.map.topology import Topology


def _write_table(topology: Topology) -> str:
    return write_text(topology, shutil.get_terminal_size((WIDTH, 0)).columns)


FORMATS: dict[str, Callable[[Topology], str]] = {
    "text": _write_table,
    "dot": lambda topology: write_dot(build_graph(topology)),
    "mermaid": lambda topology: write_mermaid(build_graph(topology)),
    "json": lambda topology: json.dumps(to_builtins(topology), indent=2) + "\n",
    "svg": lambda topology: write_svg(build_graph(topology)),
}


def print_map(url: str, token: str | None, minutes: int, format_: str) -> int:
    """Print the map in a format; return the exit code."""
    try:
        with open_client(url, token) as client:
            topology = fetch_topology(client, minutes)
    except NoAnswerError as error:
        print(f"asyncdsm map: {error}{error.hint}", file=sys.stderr)
        return 1
    sys.stdout.write(FORMATS[format_](topology))
    return 0
