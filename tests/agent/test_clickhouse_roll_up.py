"""Roll-ups by ClickHouse are as large as fit, and what a part of one left behind does no harm."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import pytest

from asyncdsm.agent.store.clickhouse.statement_size import LIMIT_SECONDS, Portion, StatementSize
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.errors import StoreLimitError, StoreUnavailableError
from tests.agent.payloads import NOW
from tests.agent.stores import Opener
from tests.agent.test_clickhouse import HOUR, accepted, flush_for, only
from tests.agent.test_store import kept

BEGAN = NOW // HOUR * HOUR
HASHES = tuple(range(1, 9))


class LimitRows(Protocol):
    """Lets ClickHouse refuse roll-ups of more than some rows; returns a list that gets the portion of each one."""

    def __call__(self, store: ClickHouseStore, most: int) -> list[Portion]: ...


@pytest.fixture
def limit_rows(monkeypatch: pytest.MonkeyPatch) -> LimitRows:
    """Limit the rows that a roll-up writes: that stands for limits of memory."""

    def limit(store: ClickHouseStore, most: int) -> list[Portion]:
        command, tried = store._connection.command, list[Portion]()

        def run_limited(statement: str, seconds: int | None = None) -> None:
            if parts := re.search(r"modulo\(point, (\d+)\)", statement):
                tried.append(Portion(len(re.findall(r"width = \d+ AND", statement)), int(parts[1])))
                statement += (
                    f" SETTINGS max_threads = 1, max_rows_to_group_by = {most}, group_by_overflow_mode = 'throw'"
                )
            command(statement, seconds)

        monkeypatch.setattr(store._connection, "command", run_limited)
        return tried

    return limit


class Clock:
    """The time of an agent."""

    def __init__(self, now: float) -> None:
        self.times = [now]

    def __call__(self) -> float:
        return self.times[0]


@pytest.fixture
def clock() -> Clock:
    """Begin ten minutes after an hour."""
    return Clock(BEGAN + 600)


@pytest.fixture
def store(open_store: Opener, clock: Clock) -> ClickHouseStore:
    """Open a ClickHouse."""
    return open_clickhouse(open_store, clock)


def open_clickhouse(opener: Opener, clock: Clock) -> ClickHouseStore:
    store = opener(now=clock, ticks=clock)
    assert isinstance(store, ClickHouseStore)
    return store


def rolled_minutes(store: ClickHouseStore) -> int:
    return len(store.roll_up_versions(TimeRange(BEGAN, BEGAN + 600), 60))


def kept_minutes(store: ClickHouseStore) -> dict[int, float]:
    return dict(kept(store, TimeRange(BEGAN, BEGAN + 600)))


@only
def test_roll_up_that_does_not_fit_is_made_of_fewer_periods_at_once(
    store: ClickHouseStore, clock: Clock, limit_rows: LimitRows
) -> None:
    store.add_all([accepted(1, at=BEGAN + 60 * number) for number in range(8)])
    tried = limit_rows(store, 1)
    flush_for(store, clock.times, 200)
    assert [each.periods for each in tried] == [4, 2, *[1] * 8]
    assert rolled_minutes(store) == 8
    assert kept_minutes(store) == {1: 32}
    assert store.conditions.present() == []


@only
def test_roll_up_of_one_period_that_does_not_fit_is_made_of_parts_of_its_points(
    store: ClickHouseStore, clock: Clock, limit_rows: LimitRows
) -> None:
    store.add_all([accepted(*HASHES, at=BEGAN + 20)])
    clock.times[0] += HOUR
    tried = limit_rows(store, 3)
    flush_for(store, clock.times, 500)
    assert tried[0] == (1, 1)
    assert tried[-1] == (1, 8)
    for width in (60, 600, 3600):
        assert len(store.roll_up_versions(TimeRange(BEGAN, BEGAN + HOUR), width)) == 1
    query = f"SELECT width, count() AS n FROM {store._db}.sketches FINAL GROUP BY width ORDER BY width"  # noqa: S608
    rows = store._connection.query(query).to_pylist()
    assert rows == [{"width": width, "n": len(HASHES)} for width in (10, 60, 600, 3600)]
    assert dict(kept(store, TimeRange(BEGAN, BEGAN + HOUR))) == dict.fromkeys(HASHES, 4)


@only
def test_parts_of_a_roll_up_that_failed_do_no_harm(
    open_store: Opener, store: ClickHouseStore, clock: Clock, monkeypatch: pytest.MonkeyPatch, limit_rows: LimitRows
) -> None:
    """Some parts are written, then ClickHouse is away. More comes of some points, and another agent does it again."""
    store.add_all([accepted(*HASHES, at=BEGAN + 20)])
    limit_rows(store, 3)
    command = store._connection.command

    def fail_last_part(statement: str, seconds: int | None = None) -> None:
        if "modulo(point, 8) = 7" in statement:
            raise StoreUnavailableError("it is away")
        command(statement, seconds)

    monkeypatch.setattr(store._connection, "command", fail_last_part)
    with pytest.raises(StoreUnavailableError, match="it is away"):
        flush_for(store, clock.times, 200)
    minutes = f"SELECT count() AS n FROM {store._db}.sketches FINAL WHERE width = 60"  # noqa: S608
    assert 0 < store._connection.query(minutes).to_pylist()[0]["n"] < len(HASHES)
    assert rolled_minutes(store) == 0
    assert kept_minutes(store) == dict.fromkeys(HASHES, 4)
    other = open_clickhouse(open_store, clock)
    other.add_all([accepted(1, 2, at=BEGAN + 30)])
    expected = {hash_: 8 if hash_ in {1, 2} else 4 for hash_ in HASHES}
    assert kept_minutes(other) == kept_minutes(store) == expected
    flush_for(other, clock.times, 300)
    assert rolled_minutes(other) == rolled_minutes(store) == 1
    assert kept_minutes(other) == kept_minutes(store) == expected
    assert other._connection.query(minutes).to_pylist() == [{"n": len(HASHES)}]


@only
def test_period_that_never_fits_keeps_no_other_one_from_being_rolled_up(
    store: ClickHouseStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_all([accepted(1, at=BEGAN + 60 * number) for number in range(3)])
    command, failures = store._connection.command, 0

    def fail_first(statement: str, seconds: int | None = None) -> None:
        if "modulo(" in statement and f"start >= toDateTime({int(BEGAN)}," in statement:
            clock.times[0] += 1
            statement += " SETTINGS max_rows_to_read = 1, read_overflow_mode = 'throw', max_result_rows = 0"
        command(statement, seconds)

    monkeypatch.setattr(store._connection, "command", fail_first)
    for _ in range(4):
        try:
            flush_for(store, clock.times, 100)
        except StoreLimitError:
            failures += 1
            assert [each["name"] for each in store.conditions.present()] == ["upkeep"]
    assert failures == 3
    assert rolled_minutes(store) == 2
    assert kept_minutes(store) == {1: 12}


@pytest.fixture
def size(clock: Clock) -> StatementSize:
    """Fit statements by the clock."""
    return StatementSize(clock)


def run_statements(size: StatementSize, clock: Clock, *seconds: float, due: int = 100) -> list[Portion]:
    """Run statements that take some seconds each, and return the portion that comes after each."""
    portions = list[Portion]()
    for each in seconds:
        with size.fit(size.next_portion(due)):
            clock.times[0] += each
        portions.append(size.next_portion(100))
    return portions


def run_failing(size: StatementSize, error: Callable[[str], Exception], due: int = 100) -> None:
    with pytest.raises(StoreUnavailableError), size.fit(size.next_portion(due)):
        raise error("it failed")


def test_statements_grow_while_they_are_short_and_shrink_when_one_is_long(size: StatementSize, clock: Clock) -> None:
    portions = run_statements(size, clock, 0.1, 0.1, 3.0, 6.0, 0.1, 0.1, 0.1, 0.1)
    assert portions == [(number, 1) for number in (8, 16, 16, 8, 16, 32, 64, 64)]
    assert run_statements(size, clock, 0.1, due=1) == [(64, 1)]  # there were no more


def test_statement_beyond_a_limit_is_not_tried_again_for_an_hour(size: StatementSize, clock: Clock) -> None:
    run_failing(size, StoreLimitError, due=5)
    assert run_statements(size, clock, 0.1, 0.1) == [(2, 1)] * 2
    run_failing(size, StoreLimitError)
    run_failing(size, StoreLimitError)
    assert size.next_portion(100) == (1, 2)
    assert run_statements(size, clock, 0.1) == [(1, 2)]
    assert run_statements(size, clock, LIMIT_SECONDS, 0.1, 0.1) == [(1, 4), (1, 2), (1, 1)]


def test_statement_that_fails_for_another_reason_is_soon_as_large_as_before(size: StatementSize, clock: Clock) -> None:
    run_failing(size, StoreUnavailableError)
    assert run_statements(size, clock, 0.1, 0.1) == [(4, 1), (8, 1)]


def test_size_is_not_the_reason_if_the_smallest_portion_is_beyond_a_limit(size: StatementSize) -> None:
    for _ in range(8):
        run_failing(size, StoreLimitError)
    assert size.next_portion(100) == (1, 64)
    run_failing(size, StoreLimitError)
    assert size.next_portion(100) == (4, 1)  # for the others


def test_portions_stay_above_the_smallest_size_whatever_fails(size: StatementSize) -> None:
    for _ in range(20):
        run_failing(size, StoreUnavailableError)
    assert size.next_portion(100) == (1, 64)
