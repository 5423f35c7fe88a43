"""Rules that the page and Python's map both implement: `shared_rules.test.js` asserts the same of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

from asyncdsm.agent.alerts.kinds import list_kinds
from asyncdsm.agent.queries.time_ranges import DEFAULT_MINUTES
from asyncdsm.map.layout import PlacedLabel, label_origin
from asyncdsm.map.strings import format_age, format_duration, plain_text

RULES: dict[str, Any] = json.loads(Path(__file__).with_name("shared_rules.json").read_text("utf-8"))


@pytest.mark.parametrize(("seconds", "text"), RULES["durations"])
def test_duration_is_written_as_on_the_page(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), RULES["ages"])
def test_age_is_written_as_on_the_page(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.parametrize(("name", "shown"), RULES["names"], ids=ascii)
def test_name_from_outside_is_shown_as_on_the_page(name: str, shown: str) -> None:
    assert plain_text(name) == shown


@pytest.mark.parametrize(("label", "lines", "origin"), RULES["labelOrigins"])
def test_label_has_its_lines_where_the_page_has_them(label: dict[str, Any], lines: int, origin: list[Any]) -> None:
    assert label_origin(PlacedLabel(**label), lines) == tuple(origin)


def test_default_time_range_is_that_of_the_page() -> None:
    assert RULES["defaultMinutes"] == DEFAULT_MINUTES


def test_kinds_of_rules_are_those_with_which_the_form_of_the_page_is_tested() -> None:
    assert to_builtins(list_kinds()) == RULES["ruleKinds"]
