"""The map as a table in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from asyncdsm._internal.log import pluralize
from asyncdsm.map.descriptions import describe_change, qualify_nodes
from asyncdsm.map.graph import Node, build_link
from asyncdsm.map.name_cell import NameCell
from asyncdsm.map.sections import Section, list_sections, shorten_clusters
from asyncdsm.map.strings import (
    HOP_ARROW,
    NOTHING,
    format_count,
    format_duration,
    format_lag,
    format_percent,
    plain_text,
)
from asyncdsm.map.topology import Edge, Topology

SHORTEST_SHOWN_NAME = 12
"""Cells of a name that are shown before other columns are, or all of it if it is shorter."""
LONGEST_IN_TITLE = 24


class Row(NamedTuple):
    """An edge, and what its cells need to know besides."""

    edge: Edge
    source: Node
    target: Node
    qualifiers: dict[Node, str]
    clusters: dict[str, str]
    """Each cluster's id, shortened."""


class Column(NamedTuple):
    """A column: its head, what its cells show, and how."""

    head: str
    cell: Callable[[Row], RenderableType]
    is_number: bool = False
    is_name: bool = False


COLUMNS: dict[str, Column] = {
    "source": Column("from", lambda row: _name_cell(row, row.source), is_name=True),
    "arrow": Column("", lambda _: Text(HOP_ARROW)),
    "target": Column("to", lambda row: _name_cell(row, row.target), is_name=True),
    "type": Column("type", lambda row: Text(plain_text(row.edge.type, LONGEST_IN_TITLE))),
    "cluster": Column("cluster", lambda row: Text(row.clusters[row.edge.cluster or ""])),
    "group": Column("group", lambda row: NameCell(row.edge.group or ""), is_name=True),
    "messages": Column("messages", lambda row: Text(format_count(row.edge.count)), is_number=True),
    "rate": Column("msg/s", lambda row: Text(_format_rate(row.edge.present.rate)), is_number=True),
    "time in": Column("time in", lambda row: Text({"in": "queue", "out": "service"}.get(row.edge.direction, ""))),
    "p50": Column("p50", lambda row: duration_cell(row.edge.present.edge_latency.p50), is_number=True),
    "p99": Column("p99", lambda row: duration_cell(row.edge.present.edge_latency.p99), is_number=True),
    "whole p50": Column(
        "end to\nend p50", lambda row: duration_cell(row.edge.present.pathway_latency.p50), is_number=True
    ),
    "whole p99": Column("p99", lambda row: duration_cell(row.edge.present.pathway_latency.p99), is_number=True),
    "redelivered": Column("rede-\nlivered", lambda row: _share_cell(row, "redelivered"), is_number=True),
    "dead-lettered": Column("dead-\nlettered", lambda row: _share_cell(row, "dead_lettered"), is_number=True),
    "lag": Column("lag", lambda row: Text(_format_lag(row.edge)), is_number=True),
    "since": Column("since", lambda row: Text(describe_change(row.edge.present))),
}
LEFT_OUT_FIRST = (
    "since",
    "whole p99",
    "messages",
    "redelivered",
    "dead-lettered",
    "whole p50",
    "cluster",
    "type",
    "group",
)
"""Columns in the order in which they give way to names. What is slower, and since when, a line below says too."""


class MapTable:
    """The table of what edges are like now, with the columns that have room; the slowest edge stands out.

    Columns in which nothing differs, such as the type of brokers, are left out: the title says it. If there are
    several environments or else several clusters, the rows of each have a heading.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._sections: list[Section] = list_sections(topology.edges)
        self.style: str = "none"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table. As many columns of `LEFT_OUT_FIRST` are left out as it takes to give names room."""
        rows = [(section.title, _rows(section)) for section in self._sections]
        every = [row for _, each in rows for row in each]
        shown = _useful_columns(every, {section.by for section in self._sections})
        for column in LEFT_OUT_FIRST:
            if self._width_needed(every, shown, console, options) <= options.max_width:
                break
            shown = [each for each in shown if each != column]
        # Not as title and caption of the table, which would be broken to its width.
        yield Text(_title(self._topology), style="bold")
        yield self._table(rows, shown)
        yield Text(_caption(self._topology.edges, shown), style="table.caption")

    def _width_needed(self, rows: list[Row], shown: list[str], console: Console, options: ConsoleOptions) -> int:
        """Return how many cells the columns need, with two after each; of names, only what must be seen counts.

        The headings of sections are in the first column.
        """
        wide, total = options.update(width=10_000), -1
        for name in shown:
            column = COLUMNS[name]
            titles = [cell_len(section.title) for section in self._sections] if name == shown[0] else []
            cells = (Measurement.get(console, wide, column.cell(row)).maximum for row in rows)
            width = max([_head_width(column), *titles, *cells])
            total += min(width, SHORTEST_SHOWN_NAME if column.is_name else width) + 2
        return total

    def _table(self, rows: list[tuple[str, list[Row]]], shown: list[str]) -> Table:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, style=self.style)
        for name in shown:
            column = COLUMNS[name]
            # If there is still no room, the names are cut, and not the numbers.
            table.add_column(
                column.head,
                justify="right" if column.is_number else "left",
                vertical="bottom",
                no_wrap=not column.is_name,
            )
        slowest = max(self._topology.edges, key=lambda edge: edge.present.slowness, default=None)
        for title, each in rows:
            if title:
                table.add_row(NameCell(title), style="bold")
            for row in each:
                cells = (COLUMNS[name].cell(row) for name in shown)
                table.add_row(*cells, style=_style(row.edge, is_slowest=row.edge is slowest))
        return table


def _rows(section: Section) -> list[Row]:
    ends = {edge.id: build_link(edge)[:2] for edge in section.edges}
    qualifiers = qualify_nodes(node for pair in ends.values() for node in pair)
    clusters = shorten_clusters(edge.cluster or "" for edge in section.edges)
    edges = sorted(section.edges, key=_in_order_of_travel)
    return [Row(edge, *ends[edge.id], qualifiers, clusters) for edge in edges]


def _useful_columns(rows: list[Row], grouped_by: set[str]) -> list[str]:
    """Return the columns in which there is something to see."""
    edges = [row.edge for row in rows]
    useless = {
        "type": len({edge.type for edge in edges}) < 2,
        "cluster": "cluster" in grouped_by or len({edge.cluster for edge in edges if edge.cluster}) < 2,
        "group": not any(edge.group for edge in edges),
        "lag": all(edge.lag is None for edge in edges),
        "redelivered": not any(edge.facts and edge.facts.redelivered for edge in edges),
        "dead-lettered": not any(edge.facts and edge.facts.dead_lettered for edge in edges),
        "since": all(edge.present.since is None for edge in edges),
    }
    return [name for name in COLUMNS if not useless.get(name)]


def _style(edge: Edge, *, is_slowest: bool) -> str | None:
    if edge.present.state == "idle":
        return "dim"
    return "bold red" if is_slowest else None


def _title(topology: Topology) -> str:
    quiet = sum(service.quiet_since is not None for service in topology.services)
    services = pluralize(len(topology.services), "service") + (f" ({quiet} quiet)" if quiet else "")
    parts = [f"{services}, {pluralize(len(topology.queues), 'queue')}"]
    for name, values in (
        ("", {edge.type for edge in topology.edges}),
        ("cluster ", {edge.cluster for edge in topology.edges if edge.cluster}),
        ("env ", {edge.env for edge in topology.edges}),
    ):
        if len(values) == 1 and (value := values.pop()):
            parts.append(name + plain_text(value, LONGEST_IN_TITLE))
    return " · ".join(parts)


def _head_width(column: Column) -> int:
    return max(map(cell_len, column.head.splitlines()), default=0)


def _caption(edges: Iterable[Edge], shown: list[str]) -> str:
    edges = list(edges)
    if not edges:
        return "Nothing has arrived yet: services send what they measured every 10 s. `asyncdsm doctor` finds out more"
    explained = ["time in queue: since sent", "in service: since received"]
    if "whole p50" in shown:
        explained.append("end to end: since the pathway began")
    if any(edge.present.label == NOTHING for edge in edges):
        explained.append(f"{NOTHING}: a pathway begins")
    return " · ".join(explained)


def _in_order_of_travel(edge: Edge) -> tuple[float, str, str]:
    # The further a message has come, the longer ago its pathway began.
    return (edge.pathway_latency.p50 or 0.0, edge.service, edge.queue)


def _name_cell(row: Row, node: Node) -> NameCell:
    return NameCell(node.name, row.qualifiers[node])


def _share_cell(row: Row, name: Literal["redelivered", "dead_lettered"]) -> Text:
    """Return how many messages were redelivered or dead-lettered, and their share: `12, 3 %`; empty for none."""
    facts = row.edge.facts
    count, share = (0, 0.0) if facts is None else (getattr(facts, name), getattr(facts, f"{name}_share"))
    return Text(f"{format_count(count)}, {format_percent(share)}" if count else "")


def _format_lag(edge: Edge) -> str:
    return format_lag(edge.lag, edge.lag_seconds, edge.lag_trend)


def _format_rate(rate: float) -> str:
    return f"{rate:.1f}" if rate >= 0.1 or not rate else f"{rate:.1g}"


def duration_cell(seconds: float | None) -> Text:
    """Return a cell with a duration in seconds; `–` for None."""
    return Text(NOTHING if seconds is None else format_duration(seconds))
