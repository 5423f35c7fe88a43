"""`asyncdsm top`: shows the map live in a terminal."""

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
from asyncdsm.cli.agent_client import NoAnswerError, fetch_topology, open_client, without_password
from asyncdsm.map.sections import list_sections
from asyncdsm.map.terminal import MapTable
from asyncdsm.map.text import list_warnings
from asyncdsm.map.topology import Topology

REFRESH_SECONDS = 1.0
LINES_AROUND = 9
"""Lines that are not rows of the table: its title, head and caption, the state above, and what is left out below."""


def run_top(url: str, token: str | None, minutes: int) -> int:
    """Show the map until Ctrl-C; return the exit code. If the agent stops answering, wait for it to come back."""
    console = Console()
    if not console.is_terminal:
        print("asyncdsm top: standard output is not a terminal; asyncdsm map prints the map once", file=sys.stderr)
        return 1
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        with open_client(url, token) as client:
            shown = fetch_topology(client, minutes)  # if there is no agent at all, say so at once
            with Live(console=console, screen=True, auto_refresh=False) as screen:
                problem, since = "", _now()
                while True:
                    screen.update(draw_page(shown, without_password(url), problem, since, console.height), refresh=True)
                    if stop.wait(REFRESH_SECONDS):
                        return 0
                    try:
                        shown, problem, since = fetch_topology(client, minutes), "", _now()
                    except NoAnswerError as error:
                        problem = str(error)
    except NoAnswerError as error:
        print(f"asyncdsm top: {error}{error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def draw_page(topology: Topology, url: str, problem: str, since: str, height: int) -> RenderableType:
    """Return what the terminal shows: as many of the slowest edges as have room, and whether they are up to date."""
    state = Text(f"{problem}; the map is from {since}", style="bold red") if problem else Text(f"{url} · {since}")
    warned = _draw_warnings(list_warnings(topology), height // 4)
    edges = sorted(topology.edges, key=lambda edge: edge.present.slowness, reverse=True)
    headings = [section.title for section in list_sections(edges) if section.title]
    room = max(1, height - LINES_AROUND - len(warned) - len(headings))
    table = MapTable(replace(topology, edges=edges[:room]))
    if problem:
        table.style = "dim"
    faster = len(edges) - room
    left_out = [Text(f"and {pluralize(faster, 'faster edge')} without room", style="dim")] if faster > 0 else []
    return Group(state, table, *left_out, *warned)


def _draw_warnings(warnings: list[str], room: int) -> list[Text]:
    """Return as many warnings as have room, and in the last line how many have none."""
    if len(warnings) > room:
        kept = max(0, room - 1)
        warnings = [*warnings[:kept], f"and {len(warnings) - kept} more: asyncdsm map lists them"][:room]
    return [Text(f"⚠ {line}", style="yellow") for line in warnings]


def _now() -> str:
    return strftime("%H:%M:%S", localtime())
