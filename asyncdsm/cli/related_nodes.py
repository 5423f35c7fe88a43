"""What is downstream or upstream of a service or a queue, as a table for the terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asyncdsm._internal.log import pluralize
from asyncdsm.agent.queries.answers import RelatedNode
from asyncdsm.map.name_cell import NameCell
from asyncdsm.map.strings import format_count

Direction = Literal["downstream", "upstream"]


def write_related(title: str, related: Sequence[RelatedNode], left_out: int, width: int) -> str:
    """Return a table of the nodes that are related to one, the nearest first; `left_out` more are not in it.

    The title says how they are related, and to which node.
    """
    lines = [f"{title}: {pluralize(len(related) + left_out, 'node')}"]
    if related:
        page = io.StringIO()
        console = Console(file=page, width=width, color_system=None, force_terminal=False, legacy_windows=False)
        console.print(_draw_table(related))
        lines += [line.rstrip() for line in page.getvalue().splitlines()]
    if left_out:
        lines.append(f"and {pluralize(left_out, 'node')} further away")
    return "\n".join(lines) + "\n"


def _draw_table(related: Sequence[RelatedNode]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for head in ("distance", "kind", "name", "env or type", "cluster", "messages"):
        is_number = head in {"distance", "messages"}
        table.add_column(head, justify="right" if is_number else "left", no_wrap=is_number or head == "kind")
    for node in related:
        table.add_row(
            Text(str(node.distance)),
            Text(node.kind),
            NameCell(node.name or node.where or "?"),
            NameCell(node.where),
            NameCell(node.cluster or ""),
            Text(format_count(node.count)),
        )
    return table
