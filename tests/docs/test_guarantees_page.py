"""The page on what users can count on: each test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
NAMED = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")


def test_each_test_named_on_the_page_exists_in_the_file_it_links_to() -> None:
    named = NAMED.findall(PAGE.read_text("utf-8"))
    missing = [
        name
        for name, link in named
        if name
        not in {
            each.name
            for each in ast.parse(PAGE.parent.joinpath(link).read_text("utf-8")).body
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        }
    ]
    assert len(named) > 30
    assert missing == []


def test_each_promise_has_a_test() -> None:
    promises = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:-1]
    assert [promise.splitlines()[0] for promise in promises if not NAMED.search(promise)] == []
