"""The map as a table in the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from asyncdsm._internal.log import pluralize
from asyncdsm.map.descriptions import describe_change, qualify_nodes
from asyncdsm.map.graph import Node, build_link
from asyncdsm.map.strings import format_duration, format_lag, isolate_text, plain_text, remove_isolation
from asyncdsm.map.topology import Edge, Topology

LONGEST_NAME = 40
SHORTEST_NAME = 4
"""Cells of a name that are shown before its qualifier is cut."""
COLUMNS = ("service", "", "queue", "group", "msg/s", "hop p50", "p99", "end to\nend p50", "p99", "lag", "since")
NAMES = (0, 2, 3)
GROUP, WHOLE_P50, WHOLE_P99, CHANGE = 3, 7, 8, 10
LEFT_OUT_FIRST = (CHANGE, WHOLE_P99, WHOLE_P50, GROUP)
SHORTEST_SHOWN_NAME = 12
"""Cells of a name that are shown before other columns are, or all of it if it is shorter."""


class MapTable:
    """The table of what hops are like now, with the columns that have room; the slowest hop stands out.

    A last column says since when hops are slower, faster or idle, if there are any such hops.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._edges: list[Edge] = sorted(topology.edges, key=_in_order_of_travel)
        self.style: str = "none"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table. As many columns of `LEFT_OUT_FIRST` are left out as it takes to give names room."""
        changed = any(edge.present.since is not None for edge in self._edges)
        shown = [*range(len(COLUMNS) - (not changed))]
        rows = [_cells(edge, named) for named in [_qualifiers(self._edges)] for edge in self._edges]
        for column in LEFT_OUT_FIRST:
            if _width_needed(rows, shown, console, options) <= options.max_width:
                break
            shown = [each for each in shown if each != column]
        yield self._table(rows, shown)

    def _table(self, rows: list[list[RenderableType]], shown: list[int]) -> Table:
        table = Table(
            title=_title(self._topology),
            title_justify="left",
            title_style="bold",
            caption=_caption(is_empty=not rows, has_whole=WHOLE_P50 in shown),
            caption_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            show_edge=False,
            style=self.style,
        )
        for column in shown:
            # If there is still no room, the names are cut, and not the numbers.
            is_right = 3 < column < CHANGE
            table.add_column(
                COLUMNS[column],
                justify="right" if is_right else "left",
                vertical="bottom",
                no_wrap=column not in NAMES,
            )
        slowest = max(self._edges, key=lambda edge: edge.present.slowness, default=None)
        for edge, cells in zip(self._edges, rows, strict=True):
            table.add_row(*(cells[column] for column in shown), style=_style(edge, is_slowest=edge is slowest))
        return table


def _qualifiers(edges: list[Edge]) -> dict[Node, str]:
    return qualify_nodes(node for edge in edges for node in _ends(edge))


def _width_needed(rows: list[list[RenderableType]], shown: list[int], console: Console, options: ConsoleOptions) -> int:
    """Return how many cells the columns need, with two after each; of names, only what must be seen counts."""
    wide = options.update(width=10_000)
    widths = [
        [
            _head_width(column),
            *(Measurement.get(console, wide, row[column]).maximum for row in rows),
        ]
        for column in shown
    ]
    return (
        sum(
            min(max(each), SHORTEST_SHOWN_NAME if column in NAMES else max(each)) + 2
            for column, each in zip(shown, widths, strict=True)
        )
        - 1
    )


def _style(edge: Edge, *, is_slowest: bool) -> str | None:
    if edge.present.state == "idle":
        return "dim"
    return "bold red" if is_slowest else None


def _title(topology: Topology) -> str:
    return f"{pluralize(len(topology.services), 'service')}, {pluralize(len(topology.queues), 'queue')}"


def _head_width(column: int) -> int:
    return max(map(cell_len, COLUMNS[column].splitlines()), default=0)


def _caption(*, is_empty: bool, has_whole: bool) -> str:
    if is_empty:
        return "Nothing has arrived yet: services send what they measured every 10 s. `asyncdsm doctor` finds out more"
    whole = " · end to end: since the first one" if has_whole else ""
    return f"hop: since the previous checkpoint{whole}"


def _in_order_of_travel(edge: Edge) -> tuple[float, str, str]:
    # The further a message has come, the longer it has been on its way.
    return (edge.pathway_latency.p50 or 0.0, edge.service, edge.queue)


def _ends(edge: Edge) -> tuple[Node, Node]:
    """Return the service and the queue of an edge."""
    link = build_link(edge)
    return (link.source, link.target) if link.source.kind == "service" else (link.target, link.source)


def _cells(edge: Edge, named: dict[Node, str]) -> list[RenderableType]:
    present = edge.present
    hop, whole = present.edge_latency, present.pathway_latency
    service, queue = _ends(edge)
    return [
        NameCell(service.name, named[service]),
        Text({"in": "←", "out": "→"}.get(edge.direction, "")),
        NameCell(queue.name, named[queue]),
        NameCell(edge.group or ""),
        Text(f"{present.rate:.1f}"),
        *(duration_cell(value) for value in (hop.p50, hop.p99, whole.p50, whole.p99)),
        Text(format_lag(edge.lag, edge.lag_seconds, edge.lag_trend)),
        Text(describe_change(present)),
    ]


class NameCell:
    """A cell with a name from outside and its qualifier, cut to the width of the column."""

    def __init__(self, name: str, qualifier: str = "") -> None:
        self._name: str = plain_text(name, LONGEST_NAME)
        self._qualifiers: list[str] = [_bracketed(qualifier), _bracketed(qualifier.rpartition(", ")[2])]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return how wide the cell is; any smaller width is possible too."""
        return Measurement(1, max(1, cell_len(self._name + self._qualifiers[0]))).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Write the cell in one line. The qualifier stays as long as there is room for it."""
        width = options.max_width
        for qualifier, least in zip(self._qualifiers, (cell_len(self._name), SHORTEST_NAME), strict=True):
            room = width - cell_len(qualifier)
            if room >= least:
                yield Text(_fitted(self._name, room) + qualifier, no_wrap=True, end="")
                return
        yield Text(_fitted(self._name + self._qualifiers[0], width), no_wrap=True, end="")


def _bracketed(qualifier: str) -> str:
    return f" ({plain_text(qualifier, LONGEST_NAME)})" if qualifier else ""


def _fitted(shown: str, width: int) -> str:
    """Return a string cut to a width in cells; if it is isolated, so is the result."""
    if cell_len(shown) <= width:
        return shown
    return isolate_text(set_cell_size(remove_isolation(shown), width - 1) + "…") if width > 0 else ""


def duration_cell(seconds: float | None) -> Text:
    """Return a cell with a duration in seconds; an empty cell for None."""
    return Text(format_duration(seconds))
