"""The versions of a service side by side, as tables for the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from time import localtime, strftime

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asyncdsm._internal.log import pluralize
from asyncdsm.agent.queries.version_answers import EdgeVersions, ServiceVersions, VersionNumbers
from asyncdsm.map.descriptions import label_nodes
from asyncdsm.map.graph import Node
from asyncdsm.map.strings import NOTHING, format_count, format_duration, format_hop, format_percent, plain_text

LONGEST_NAME = 40
NAMES_WIDTH, VERSION_WIDTH = 20, 17
"""Cells that the names of the figures take, and those of one version: as many are shown as have room."""
_Cell = Callable[[VersionNumbers], str]


def write_versions(answer: ServiceVersions, width: int) -> str:
    """Return a table of the versions of a service, and one for each of its edges, with what is different in words."""
    (label,) = label_nodes([Node("service", answer.service, answer.env)]).values()
    page = io.StringIO()
    console = Console(file=page, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    _print_table(console, f"versions of service {label}", answer.versions)
    for edge in answer.edges:
        _print_table(console, _name_edge(edge, label), edge.versions)
    if left_out := answer.cut.get("edges", 0):
        console.print(Text(f"and {pluralize(left_out, 'quieter hop')}"))
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def name_versions(versions: Sequence[str]) -> str:
    """Return the name of what reported: `2.0`, `2.0 and 2.1 together`, or `no version`."""
    names = [plain_text(version, LONGEST_NAME) for version in versions]
    if len(names) < 2:
        return names[0] if names else "no version"
    return f"{', '.join(names[:-1])} and {names[-1]} together"


def _name_edge(edge: EdgeVersions, service: str) -> str:
    queue = plain_text(edge.queue or edge.type)
    return format_hop(queue, service) if edge.direction == "in" else format_hop(service, queue)


def _print_table(console: Console, title: str, numbers: Sequence[VersionNumbers]) -> None:
    console.print(Text(title))
    if not numbers:
        console.print(Text("nothing passed in this time range\n"))
        return
    most = max(2, (console.width - NAMES_WIDTH) // VERSION_WIDTH)
    if len(numbers) > most:
        console.print(Text(f"the last {most} of {len(numbers)}; --format json has all of them"))
        numbers = numbers[-most:]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("", no_wrap=True)
    for each in numbers:
        table.add_column(Text(name_versions(each.versions)), justify="right")
    for name, cell in _ROWS.items():
        texts = [cell(each) for each in numbers]
        if any(text != NOTHING for text in texts):
            table.add_row(Text(name), *map(Text, texts))
    console.print(table)
    for line in _list_differences(numbers):
        console.print(Text(line))
    console.print()


def _list_differences(numbers: Sequence[VersionNumbers]) -> Iterator[str]:
    for each in numbers:
        yield from each.differences
        if each.compared_with is not None and not each.differences:
            before, now = (plain_text(version, LONGEST_NAME) for version in (each.compared_with, each.versions[0]))
            yield f"no large difference since {now}, or too few messages to compare it with {before}"


def _format_moment(seconds: float) -> str:
    return strftime("%d %b %H:%M:%S", localtime(seconds))


def _format_share(share: float | None) -> str:
    return NOTHING if share is None else format_percent(share)


def _format_time(seconds: float | None) -> str:
    return NOTHING if seconds is None else format_duration(seconds)


_ROWS: dict[str, _Cell] = {
    "from": lambda each: _format_moment(each.from_),
    "to": lambda each: _format_moment(each.to),
    "messages": lambda each: format_count(each.count),
    "msg/s": lambda each: f"{each.rate:.3g}",
    "time in queue p50": lambda each: _format_time(each.time_in_queue.p50),
    "time in queue p99": lambda each: _format_time(each.time_in_queue.p99),
    "time in service p50": lambda each: _format_time(each.time_in_service.p50),
    "time in service p99": lambda each: _format_time(each.time_in_service.p99),
    "end to end p50": lambda each: _format_time(each.end_to_end.p50),
    "end to end p99": lambda each: _format_time(each.end_to_end.p99),
    "redelivered": lambda each: _format_share(each.redelivered_share),
    "dead-lettered": lambda each: _format_share(each.dead_lettered_share),
}
