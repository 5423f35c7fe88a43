"""The map as a table in the terminal."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

LONGEST_NAME = 40
COLUMNS = ("service", "", "queue", "group", "msg/s", "hop p50", "p99", "way p50", "p99", "lag")
NAMES = (0, 2, 3)


def render(topology: dict[str, Any]) -> Table:
    """Return the table of a topology; the hop with the slowest median stands out."""
    table = Table(
        title=_title(topology),
        title_justify="left",
        title_style="bold",
        caption="hop: since the checkpoint before · way: since the message began",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for index, column in enumerate(COLUMNS):
        # Where there is no room, the names give way, and not the numbers.
        table.add_column(column, justify="right" if index > 3 else "left", no_wrap=index not in NAMES)
    edges = sorted(topology["edges"], key=_in_order_of_travel)
    slowest = max(edges, key=lambda edge: edge["edge_latency"]["p50"] or 0.0, default=None)
    for edge in edges:
        table.add_row(*_cells(edge), style="bold red" if edge is slowest else None)
    return table


def _title(topology: dict[str, Any]) -> str:
    return f"{len(topology['services'])} services, {len(topology['queues'])} queues"


def _in_order_of_travel(edge: dict[str, Any]) -> tuple[float, str, str]:
    # The further a message has come, the longer it has been on its way.
    return (edge["pathway_latency"]["p50"] or 0.0, edge["service"], edge["queue"])


def _cells(edge: dict[str, Any]) -> list[Text]:
    hop, way = edge["edge_latency"], edge["pathway_latency"]
    return [
        plain(edge["service"]),
        Text({"in": "←", "out": "→"}.get(edge["direction"], "")),
        plain(edge["queue"]),
        plain(edge["group"] or ""),
        Text(f"{edge['rate']:.1f}"),
        *(duration(hop[name]) for name in ("p50", "p99")),
        *(duration(way[name]) for name in ("p50", "p99")),
        Text("" if edge["lag"] is None else str(edge["lag"])),
    ]


def plain(name: str) -> Text:
    """Return a name from outside, cut, and with nothing in it that a terminal or rich would obey."""
    shown = "".join(character if character.isprintable() else "�" for character in name[:LONGEST_NAME])
    return Text(shown + ("…" if len(name) > LONGEST_NAME else ""), no_wrap=True, overflow="ellipsis")


def duration(seconds: float | None) -> Text:
    """Return seconds as a person reads them: `850 µs`, `12 ms`, `3.1 s`, `4.2 min`, `7 h`."""
    if seconds is None:
        return Text("")
    # Below each limit, three digits do not round up to 1000.
    for limit, unit, length in ((999.5e-6, "µs", 1e-6), (0.9995, "ms", 1e-3), (120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return Text(f"{seconds / length:.3g} {unit}")
    return Text(f"{seconds / 3600:.3g} h")
