"""The length of lines in the page's files: Biome formats code, but leaves comments and HTML as they are."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

import asyncdsm.agent

MAX_LENGTH = 120
PAGE = Path(asyncdsm.agent.__path__[0], "page")
TESTS = Path(__file__).parent


@pytest.mark.parametrize("path", sorted(chain(PAGE.iterdir(), TESTS.glob("*.js"))), ids=lambda path: path.name)
def test_lines_have_at_most_120_characters(path: Path) -> None:
    assert [line for line in path.read_text("utf-8").splitlines() if len(line) > MAX_LENGTH] == []
