"""The map as a table in the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from asyncdsm._internal.log import pluralize
from asyncdsm.map.graph import Node, link_of
from asyncdsm.map.naming import qualifiers
from asyncdsm.map.topology import Edge, Topology
from asyncdsm.map.words import change_text, duration_text, isolated, plain, without_isolation

LONGEST_NAME = 40
SHORTEST_NAME = 4
"""Cells that are left to a name before what tells it from others is cut."""
COLUMNS = ("service", "", "queue", "group", "msg/s", "hop p50", "p99", "way p50", "p99", "lag", "since")
NAMES = (0, 2, 3)
GROUP, WAY_P50, WAY_P99, CHANGE = 3, 7, 8, 10
LEFT_OUT_FIRST = (CHANGE, WAY_P99, WAY_P50, GROUP)
SHORTEST_CELLS = 12
"""Cells of a name that are shown before other columns are, or all of it where it is shorter."""


def render(topology: Topology) -> MapTable:
    """Return the table of what hops are like now; the slowest one stands out.

    A last column says since when hops are slower, faster or idle, if there are any such hops.
    """
    return MapTable(topology)


class MapTable:
    """The table, with the columns that have room: services and queues must be told apart."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._edges: list[Edge] = sorted(topology.edges, key=_in_order_of_travel)
        self.style: str = "none"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table without the first columns of `LEFT_OUT_FIRST`, as many as it takes to give names room."""
        changed = any(edge.present.since is not None for edge in self._edges)
        shown = [*range(len(COLUMNS) - (not changed))]
        rows = [_cells(edge, named) for named in [_qualifiers(self._edges)] for edge in self._edges]
        for column in LEFT_OUT_FIRST:
            if _width_needed(rows, shown, console, options) <= options.max_width:
                break
            shown = [each for each in shown if each != column]
        yield self._table(rows, shown)

    def _table(self, rows: list[list[RenderableType]], shown: list[int]) -> Table:
        way = " · way: since the message began" if WAY_P50 in shown else ""
        table = Table(
            title=_title(self._topology),
            title_justify="left",
            title_style="bold",
            caption="hop: since the checkpoint before" + way,
            caption_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            show_edge=False,
            style=self.style,
        )
        for column in shown:
            # Where there is still no room, the names give way, and not the numbers.
            is_right = 3 < column < CHANGE
            table.add_column(COLUMNS[column], justify="right" if is_right else "left", no_wrap=column not in NAMES)
        slowest = max(self._edges, key=slowness, default=None)
        for edge, cells in zip(self._edges, rows, strict=True):
            table.add_row(*(cells[column] for column in shown), style=_style(edge, is_slowest=edge is slowest))
        return table


def _qualifiers(edges: list[Edge]) -> dict[Node, str]:
    return qualifiers(node for edge in edges for node in _ends(edge))


def _width_needed(rows: list[list[RenderableType]], shown: list[int], console: Console, options: ConsoleOptions) -> int:
    """Return how many cells the columns take, with two after each; names count as far as they must be seen."""
    wide = options.update(width=10_000)
    widths = [
        [cell_len(COLUMNS[column]), *(Measurement.get(console, wide, row[column]).maximum for row in rows)]
        for column in shown
    ]
    return (
        sum(
            min(max(each), SHORTEST_CELLS if column in NAMES else max(each)) + 2
            for column, each in zip(shown, widths, strict=True)
        )
        - 1
    )


def slowness(edge: Edge) -> float:
    """Return how slow a hop is now, in seconds: what its colour and its place in lists are decided by."""
    return edge.present.slowness


def _style(edge: Edge, *, is_slowest: bool) -> str | None:
    if edge.present.state == "idle":
        return "dim"
    return "bold red" if is_slowest else None


def _title(topology: Topology) -> str:
    return f"{pluralize(len(topology.services), 'service')}, {pluralize(len(topology.queues), 'queue')}"


def _in_order_of_travel(edge: Edge) -> tuple[float, str, str]:
    # The further a message has come, the longer it has been on its way.
    return (edge.pathway_latency.p50 or 0.0, edge.service, edge.queue)


def _ends(edge: Edge) -> tuple[Node, Node]:
    """Return the service and the queue of an edge."""
    link = link_of(edge)
    return (link.source, link.target) if link.source.kind == "service" else (link.target, link.source)


def _cells(edge: Edge, named: dict[Node, str]) -> list[RenderableType]:
    present = edge.present
    hop, way = present.edge_latency, present.pathway_latency
    service, queue = _ends(edge)
    return [
        Name(service.name, named[service]),
        Text({"in": "←", "out": "→"}.get(edge.direction, "")),
        Name(queue.name, named[queue]),
        Name(edge.group or ""),
        Text(f"{present.rate:.1f}"),
        *(duration(value) for value in (hop.p50, hop.p99, way.p50, way.p99)),
        Text("" if edge.lag is None else str(edge.lag)),
        Text(change_text(present)),
    ]


class Name:
    """A cell with a name from outside, and what tells it from others of that name; cut to the width there is."""

    def __init__(self, name: str, qualifier: str = "") -> None:
        self._name: str = plain(name, LONGEST_NAME)
        self._qualifiers: list[str] = [_bracketed(qualifier), _bracketed(qualifier.rpartition(", ")[2])]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Say how wide it is, and that it can do with less."""
        return Measurement(1, max(1, cell_len(self._name + self._qualifiers[0]))).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Write it in one line. What tells the name from others stays as long as there is room for it."""
        width = options.max_width
        for qualifier, least in zip(self._qualifiers, (cell_len(self._name), SHORTEST_NAME), strict=True):
            room = width - cell_len(qualifier)
            if room >= least:
                yield Text(_fitted(self._name, room) + qualifier, no_wrap=True, end="")
                return
        yield Text(_fitted(self._name + self._qualifiers[0], width), no_wrap=True, end="")


def _bracketed(qualifier: str) -> str:
    return f" ({plain(qualifier, LONGEST_NAME)})" if qualifier else ""


def _fitted(shown: str, width: int) -> str:
    """Return a string cut to a width in cells; an isolated one stays isolated."""
    if cell_len(shown) <= width:
        return shown
    return isolated(set_cell_size(without_isolation(shown), width - 1) + "…") if width > 0 else ""


def duration(seconds: float | None) -> Text:
    """Return seconds as a person reads them; nothing for None."""
    return Text(duration_text(seconds))
