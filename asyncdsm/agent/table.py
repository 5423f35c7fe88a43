"""The map as a table in the terminal."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from asyncdsm.agent.words import change_text, duration_text

LONGEST_NAME = 40
COLUMNS = ("service", "", "queue", "group", "msg/s", "hop p50", "p99", "way p50", "p99", "lag")
CHANGE = "change"
NAMES = (0, 2, 3)


def render(topology: dict[str, Any]) -> Table:
    """Return the table of what hops are like now; the slowest one stands out.

    A last column says since when hops are slower, faster or idle, if there are any such hops.
    """
    edges = sorted(topology["edges"], key=_in_order_of_travel)
    changed = any(edge["present"]["since"] is not None for edge in edges)
    table = Table(
        title=_title(topology),
        title_justify="left",
        title_style="bold",
        caption="last minute · hop: from checkpoint before · way: from beginning",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for index, column in enumerate(COLUMNS):
        # Where there is no room, the names give way, and not the numbers.
        table.add_column(column, justify="right" if index > 3 else "left", no_wrap=index not in NAMES)
    if changed:
        table.add_column(CHANGE, no_wrap=True)
    slowest = max(edges, key=slowness, default=None)
    for edge in edges:
        change = [Text(change_text(edge["present"]))] if changed else []
        table.add_row(*_cells(edge), *change, style=_style(edge, is_slowest=edge is slowest))
    return table


def slowness(edge: dict[str, Any]) -> float:
    """Return how slow a hop is now, in seconds: what its colour and its place in lists are decided by."""
    return float(edge["present"]["slowness"])


def _style(edge: dict[str, Any], *, is_slowest: bool) -> str | None:
    if edge["present"]["state"] == "idle":
        return "dim"
    return "bold red" if is_slowest else None


def _title(topology: dict[str, Any]) -> str:
    return f"{len(topology['services'])} services, {len(topology['queues'])} queues"


def _in_order_of_travel(edge: dict[str, Any]) -> tuple[float, str, str]:
    # The further a message has come, the longer it has been on its way.
    return (edge["pathway_latency"]["p50"] or 0.0, edge["service"], edge["queue"])


def _cells(edge: dict[str, Any]) -> list[Text]:
    present = edge["present"]
    hop, way = present["edge_latency"], present["pathway_latency"]
    return [
        plain(edge["service"]),
        Text({"in": "←", "out": "→"}.get(edge["direction"], "")),
        plain(edge["queue"]),
        plain(edge["group"] or ""),
        Text(f"{present['rate']:.1f}"),
        *(duration(hop[name]) for name in ("p50", "p99")),
        *(duration(way[name]) for name in ("p50", "p99")),
        Text("" if edge["lag"] is None else str(edge["lag"])),
    ]


def plain(name: str) -> Text:
    """Return a name from outside, cut, and with nothing in it that a terminal or rich would obey."""
    shown = "".join(character if character.isprintable() else "�" for character in name[:LONGEST_NAME])
    return Text(shown + ("…" if len(name) > LONGEST_NAME else ""), no_wrap=True, overflow="ellipsis")


def duration(seconds: float | None) -> Text:
    """Return seconds as a person reads them; nothing for None."""
    return Text(duration_text(seconds))
