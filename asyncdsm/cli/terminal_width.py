"""How wide what a command prints may be."""

from __future__ import annotations

import shutil
import sys

from asyncdsm.map.text import WIDTH

NO_LIMIT = 10_000
"""Wider than any table: names in it are cut anyway."""


def find_width() -> int:
    """Return how many columns there are: those of `COLUMNS`, or of the terminal; a pipe or a file has room for all."""
    usual = WIDTH if sys.stdout is not None and sys.stdout.isatty() else NO_LIMIT
    return shutil.get_terminal_size((usual, 0)).columns
