"""For tracers that report when their process ends: only afterwards all is done."""

from __future__ import annotations

from collections.abc import Sequence


def report_end(command: Sequence[str]) -> list[str]:
    """Return a command that runs `command` with its own arguments added, and prints `done` after it ended with 0."""
    return ["sh", "-c", '"$@" && echo done', "sh", *command]
