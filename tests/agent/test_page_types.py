"""The page's type declarations: those of the agent's answers."""

from __future__ import annotations

from tests.agent.page_types import PATH, declarations


def test_page_types_match_answers() -> None:
    assert PATH.read_text("utf-8") == declarations(), "out of date: run python -m tests.agent.page_types"
