"""Times of day have as much of the date as their reader needs."""

from __future__ import annotations

from calendar import timegm
from collections.abc import Iterator
from time import mktime, tzset

import pytest

from asyncdsm.map.strings import format_moment, format_zoned

EVENING = float(timegm((2025, 11, 29, 22, 58, 0)))
"""29 Nov 2025, 23:58 in Central Europe."""


@pytest.fixture(autouse=True)
def central_europe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the clock be that of Central Europe, whose day begins an hour before that of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        tzset()
        yield
    tzset()


def at(year: int, month: int, day: int, hour: int) -> float:
    return mktime((year, month, day, hour, 0, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (EVENING, "23:58:00"),
        (EVENING + 60, "23:58:00"),
        (EVENING + 120, "29 Nov 23:58:00"),  # it is midnight here, and not yet in UTC
        (EVENING - 86_400, "29 Nov 23:58:00"),
        (at(2026, 1, 1, 0), "29 Nov 2025 23:58:00"),
        (at(2026, 11, 29, 23), "29 Nov 2025 23:58:00"),
    ],
)
def test_moment_has_its_day_and_its_year_if_they_are_others(now: float, expected: str) -> None:
    assert format_moment(EVENING, now) == expected


def test_moment_of_long_ago_has_its_year_by_default() -> None:
    assert format_moment(0.0) == "1 Jan 1970 01:00:00"


def test_moment_for_others_has_its_time_zone() -> None:
    assert format_zoned(EVENING, EVENING) == "23:58:00 +01:00"
    assert format_zoned(at(2025, 7, 1, 14), at(2025, 7, 2, 0)) == "1 Jul 14:00:00 +02:00"
