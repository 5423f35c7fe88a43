"""A cell of a table in the terminal for a name from outside, which may be of any length."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from asyncdsm.map.graphemes import split_clusters
from asyncdsm.map.strings import isolate_text, plain_text, remove_isolation

LONGEST_NAME = 40
"""Cells of a name that are shown at most."""
SHORTEST_NAME = 4
"""Cells of a name that are shown before its qualifier is cut."""


class NameCell:
    """A cell with a name from outside and its qualifier, cut in the middle to the width of the column."""

    def __init__(self, name: str, qualifier: str = "") -> None:
        self._name: str = fit_name(plain_text(name), LONGEST_NAME)
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
                yield Text(fit_name(self._name, room) + qualifier, no_wrap=True, end="")
                return
        yield Text(fit_name(self._name + self._qualifiers[0], width), no_wrap=True, end="")


def _bracketed(qualifier: str) -> str:
    return f" ({fit_name(plain_text(qualifier), LONGEST_NAME)})" if qualifier else ""


def fit_name(shown: str, width: int) -> str:
    """Return a name in at most `width` cells: what is too long loses its middle, since names often differ at the end.

    If the name is isolated (`isolate_text`), so is the result.
    """
    if cell_len(shown) <= width:
        return shown
    if width < 1:
        return ""
    clusters = split_clusters(remove_isolation(shown))
    tail = _first_cells(clusters[::-1], (width - 1) // 2)[::-1]
    return isolate_text(f"{''.join(_first_cells(clusters, width // 2))}…{''.join(tail)}")


def _first_cells(clusters: list[str], cells: int) -> list[str]:
    """Return the longest beginning of a list of clusters that takes at most `cells`."""
    used = 0
    for index, cluster in enumerate(clusters):
        used += cell_len(cluster)
        if used > cells:
            return clusters[:index]
    return clusters
