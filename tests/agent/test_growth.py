"""How the store says that it grows, and how far back its rows will reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.growth import OtherGrowth, describe_growth, estimate_growth
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW, SECOND_NS, payload, point
from tests.agent.test_resolutions import report
from tests.transactions import Passed, write_transactions

HOUR, DAY = 3600, 86_400
RATES = {10: 8.0, 60: 4.0, 600: 2.0, 3600: 1.0}
NEEDED = 8 * DAY + 7 * DAY * (4 + 2 + 1)


def size_of(*seconds: float) -> int:
    """Return how many bytes rows take that reach back so far, those of ten seconds first."""
    return round(sum(rate * reach for rate, reach in zip(RATES.values(), seconds, strict=True)))


def reaches(limit: int, kept: int = 7 * DAY) -> list[float]:
    return list(estimate_growth(RATES, kept, 0, limit).reach_seconds.values())


def test_growth_below_the_limit_keeps_everything() -> None:
    growth = estimate_growth(RATES, 7 * DAY, used_bytes=1_000, limit_bytes=NEEDED)
    assert (growth.needed_bytes, growth.full_in_seconds) == (NEEDED, None)
    assert growth.reach_seconds == {10: DAY, 60: 7 * DAY, 600: 7 * DAY, 3600: 7 * DAY}
    assert growth.bytes_a_day == 15 * DAY
    assert not growth.is_short


@pytest.mark.parametrize(
    "expected",
    [
        [18 * HOUR, 3 * DAY, 7 * DAY, 7 * DAY],
        [2 * HOUR, 8 * HOUR, 2 * DAY, 7 * DAY],
        [HOUR, 4 * HOUR, DAY, 7 * DAY],
        [HOUR, 4 * HOUR, DAY, 3 * DAY],  # hours give way before ten seconds reach back less than an hour
        [HOUR, 4 * HOUR, DAY, DAY],
        [HOUR / 2, 2 * HOUR, DAY / 2, DAY / 2],
        [0, 0, 0, 0],
    ],
)
def test_limit_shortens_finer_steps_first(expected: list[float]) -> None:
    assert reaches(size_of(*expected)) == pytest.approx(expected, abs=1)


def test_store_that_keeps_an_hour_has_it_in_all_steps_as_long_as_there_is_room() -> None:
    assert reaches(size_of(HOUR, HOUR, HOUR, HOUR) - 1, kept=HOUR) == pytest.approx([HOUR] * 4, abs=1)
    assert reaches(size_of(HOUR / 8, HOUR / 2, HOUR, HOUR), kept=HOUR) == pytest.approx(
        [HOUR / 8, HOUR / 2, HOUR, HOUR], abs=1
    )


def test_time_until_the_limit_is_told() -> None:
    limit = size_of(2 * HOUR, 8 * HOUR, 2 * DAY, 7 * DAY)
    growth = estimate_growth(RATES, 7 * DAY, used_bytes=15 * 60, limit_bytes=limit)
    assert growth.full_in_seconds == pytest.approx(limit / 15 - 60)
    assert growth.is_short


def test_store_that_is_empty_does_not_grow() -> None:
    growth = SQLiteStore(now=lambda: NOW).growth()
    assert (growth.bytes_a_day, growth.needed_bytes, growth.full_in_seconds) == (0, 0, None)


@pytest.mark.parametrize(("limit", "expected"), [(1 << 30, []), (400_000, ["growth"])])
def test_warning_comes_before_the_limit_is_reached(tmp_path: Path, limit: int, expected: list[str]) -> None:
    clock = [NOW]
    store = SQLiteStore(tmp_path / "store.db", decode=read_report, now=lambda: clock[0], max_bytes=limit)
    for _ in range(90):
        store.add(report(int(clock[0]), 0.1))
        store.flush()
        clock[0] += 10
    assert [problem["name"] for problem in store.conditions.present()] == expected
    assert store.counters()["forgotten_rows"] == 0
    growth = store.growth()
    assert growth.limit_bytes == limit > growth.used_bytes
    assert growth.is_short == bool(expected)
    store.close()


def test_growth_is_that_of_now_after_the_clock_was_ahead() -> None:
    expected, found = (_bytes_a_day_after(jump) for jump in (0, 86_400))
    assert expected * 0.9 <= found < expected * 3  # rows before the newest are late: coarser ones are written at once


def _bytes_a_day_after(jump: int) -> float:
    """Return how a store grows of which the clock jumped ahead for a while."""
    clock = [NOW]
    store = SQLiteStore(now=lambda: clock[0])
    for turn in range(150):
        clock[0] += jump if turn == 20 else -jump if turn == 22 else 10
        store.add(report(int(clock[0]), 0.1))
        store.flush()
    growth = store.growth()
    store.close()
    return growth.bytes_a_day


class Services:
    """Services that report something every ten seconds or more to a store with a file, whose agent can be away."""

    def __init__(self, path: Path, what: str) -> None:
        self.time: float = NOW
        self._path, self._what = path / "store.db", what
        self.store: SQLiteStore = self._open()

    def _open(self) -> SQLiteStore:
        return SQLiteStore(self._path, decode=read_report, now=lambda: self.time)

    def run(self, seconds: int, every: int = 10) -> None:
        for _ in range(seconds // every):
            self.time += every
            self.store.add(read_report(self._body(int(self.time - 10) * SECOND_NS), ""))
            self.store.flush()

    def leave(self, seconds: int) -> None:
        """Stop the agent for some time, in which nothing is reported."""
        self.store.close()
        self.time += seconds
        self.store = self._open()
        self.store.flush()

    def _body(self, start: int) -> bytes:
        passed = [Passed(name, start, f"order-{start}-{each}") for each in range(30) for name in ("ordered", "paid")]
        offsets = [{"Tags": [f"partition:{each}", "type:kafka_commit"], "Value": start} for each in range(60)]
        fields: dict[str, dict[str, Any]] = {
            "rows": {"Stats": [point(Hash=each + 1) for each in range(200)]},
            "transactions": write_transactions(passed),
            "offsets": {"Backlogs": offsets},
        }
        return payload({"Start": start, "Duration": 10 * SECOND_NS, "Stats": [], **fields[self._what]})


KINDS = pytest.mark.parametrize("what", ["rows", "transactions", "offsets"])


@pytest.mark.parametrize(("minutes", "every"), [(1, 10), (12, 10), (12, 60)])
@KINDS
def test_bytes_a_day_are_those_that_are_written(tmp_path: Path, what: str, minutes: int, every: int) -> None:
    services = Services(tmp_path, what)
    services.run(every, every)
    used = services.store.growth().used_bytes  # with the names, which are written once
    services.run(minutes * 60, every)
    growth = services.store.growth()
    assert growth.bytes_a_day == pytest.approx((growth.used_bytes - used) / (minutes * 60) * DAY, rel=0.5)
    services.store.close()


@pytest.mark.parametrize("gap", [300, 8 * HOUR])
@KINDS
def test_time_in_which_the_agent_was_away_does_not_count(tmp_path: Path, what: str, gap: int) -> None:
    services = Services(tmp_path, what)
    services.run(5 * 60)
    before = services.store.growth()
    services.leave(gap)
    for seconds in (0, 20, 100):
        services.run(seconds)
        assert services.store.growth().bytes_a_day == pytest.approx(before.bytes_a_day, rel=0.3)
    services.store.close()


def test_transactions_that_are_bounded_need_no_more_than_that() -> None:
    growth = estimate_growth(RATES, 7 * DAY, 0, NEEDED + 500, OtherGrowth(100.0, 500.0))
    assert (growth.bytes_a_day, growth.needed_bytes, growth.is_short) == (115 * DAY, NEEDED + 500, False)
    assert estimate_growth(RATES, 7 * DAY, 0, NEEDED, OtherGrowth(100.0, 500.0)).is_short


def test_growth_is_described_with_its_limit_and_its_reach() -> None:
    growth = estimate_growth({10: 100e3, 60: 33e3, 600: 7e3, 3600: 1e3}, 7 * DAY, 0, 4 << 30)
    assert describe_growth(growth, 7 * DAY) == (
        "the store grows by 12.2 GB a day and is to keep 7 days, but its limit is 4.3 GB: rows will be deleted "
        "early, and reach back about as far as this: steps of ten seconds 3 hours, of a minute 10 hours, "
        "of ten minutes 3 days"
    )
