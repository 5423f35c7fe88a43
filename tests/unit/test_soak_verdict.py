"""What a soak would be refused for."""

from __future__ import annotations

import pytest

from tests.soak.verdict import Showing, faults, growth

ACCOUNTS = {"recorded": 80, "delivered": 80, "pending": 0, "dropped": 0, "malformed": 0, "errors": 0}
FLAT = [(5.0 * index, 100_000_000 + index % 3 * 100_000) for index in range(100)]
WELL = Showing(FLAT, made=80, orders=10, mails=10, counters=ACCOUNTS, counted=80)


def test_balanced_counters_pass() -> None:
    assert list(faults(WELL)) == []
    first_half_only = [(at, size - 50_000_000) if at < 200 else (at, size) for at, size in FLAT]
    assert list(faults(WELL._replace(samples=first_half_only))) == []


def test_growth_is_measured_over_the_second_half() -> None:
    assert growth([(at, 100 + at) for at in range(201)]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"samples": [(at, size + 20_000 * at) for at, size in FLAT]}, "grew by"),
        ({"counters": {**ACCOUNTS, "delivered": 79}, "counted": 79}, "do not balance"),
        ({"counters": {**ACCOUNTS, "delivered": 79, "dropped": 1}, "counted": 79}, "1 dropped"),
        ({"counters": {**ACCOUNTS, "delivered": 79, "pending": 1}, "counted": 79}, "1 pending"),
        ({"counters": {**ACCOUNTS, "errors": 2}}, "2 errors"),
        ({"made": 81}, "80 checkpoints recorded, 81 made"),
        ({"counted": 81}, "80 checkpoints delivered, 81 counted"),
        ({"mails": 9}, "10 orders, and only 9 mails"),
    ],
)
def test_each_fault_is_named(wrong: dict[str, object], said: str) -> None:
    showing = WELL._replace(**wrong)  # type: ignore[arg-type]
    assert [fault for fault in faults(showing) if said in fault]
