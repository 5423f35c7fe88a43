"""`asyncdsm top`: the map in a terminal, live."""

from __future__ import annotations

import signal
import sys
from threading import Event
from time import localtime, strftime

from msgspec.structs import replace
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from asyncdsm._internal.log import pluralize
from asyncdsm.cli.agent_client import NoAnswerError, client_of, topology_from, without_password
from asyncdsm.map.terminal import MapTable
from asyncdsm.map.text import list_warnings
from asyncdsm.map.topology import Topology

EVERY_SECONDS = 1.0
LINES_AROUND = 7
"""What is no row of the table: its title, head and caption, the state above it and what is left out below."""


def run_top(url: str, token: str | None, minutes: int) -> int:
    """Show the map until Ctrl-C; return the exit code. An agent that goes away is waited for."""
    console = Console()
    if not console.is_terminal:
        print("asyncdsm top: standard output is no terminal; asyncdsm map prints the map once", file=sys.stderr)
        return 1
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        with client_of(url, token) as client:
            shown = topology_from(client, minutes)  # who asks for an agent that is not there wants to know at once
            with Live(console=console, screen=True, auto_refresh=False) as screen:
                problem, since = "", _now()
                while True:
                    screen.update(page(shown, without_password(url), problem, since, console.height), refresh=True)
                    if stop.wait(EVERY_SECONDS):
                        return 0
                    try:
                        shown, problem, since = topology_from(client, minutes), "", _now()
                    except NoAnswerError as error:
                        problem = str(error)
    except NoAnswerError as error:
        print(f"asyncdsm top: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def page(topology: Topology, url: str, problem: str, since: str, height: int) -> RenderableType:
    """Return what the terminal shows: the slowest hops that have room, and whether they are of now."""
    state = Text(f"{problem}; what you see is of {since}", style="bold red") if problem else Text(f"{url} · {since}")
    warned = [Text(f"⚠ {line}", style="yellow") for line in list_warnings(topology)][: max(0, height // 4)]
    edges = sorted(topology.edges, key=lambda edge: edge.present.slowness, reverse=True)
    room = max(1, height - LINES_AROUND - len(warned))
    table = MapTable(replace(topology, edges=edges[:room]))
    if problem:
        table.style = "dim"
    left_out = [Text(f"and {pluralize(len(edges) - room, 'faster hop')}", style="dim")] if len(edges) > room else []
    return Group(state, table, *left_out, *warned)


def _now() -> str:
    return strftime("%H:%M:%S", localtime())
