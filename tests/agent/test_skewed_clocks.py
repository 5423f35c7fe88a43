"""No acknowledged row is missing from a map, an hour or a day later, whatever the clocks of the agents said."""

from __future__ import annotations

import random
from collections import Counter
from time import time

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.quantiles import GroupQuantiles
from asyncdsm.agent.store.clickhouse.periods import Days, Period, Periods, Watch
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.merger import by_point
from asyncdsm.agent.store.reports import AcceptedPayload
from asyncdsm.agent.store.resolutions import FOREVER, RESOLUTIONS, TimeRange
from tests.agent.payloads import NOW, SECOND_NS, bucket, payload, point
from tests.agent.stores import KEPT_KINDS, AnyStore, Opener, OpenStore

HOUR, DAY = 3600, 86_400
EVER = TimeRange(0, FOREVER)
each_kept = pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
only_clickhouse = pytest.mark.parametrize("open_store", ["clickhouse"], indirect=True)


class Clock:
    """The time, and by how much the clock of one agent is wrong; `ticks` are right in all agents."""

    def __init__(self) -> None:
        self.right: float = NOW
        self.wrong_by: float = 0.0

    def wrong(self) -> float:
        """Return what the clock that may be wrong says."""
        return self.right + self.wrong_by

    def ticks(self) -> float:
        """Return the right time."""
        return self.right


def report(store: AnyStore, hash_: int, at: float) -> None:
    """Let a service whose clock is right report four messages."""
    body = payload(bucket(point(Hash=hash_), Start=int(at) // 10 * 10 * SECOND_NS))
    store.add_all([AcceptedPayload(read_report(body, ""), "", body)])


def flush_for(clock: Clock, seconds: int, *stores: AnyStore, step: int = 100) -> None:
    """Let some time pass, with the upkeep that belongs to it."""
    for _ in range(0, seconds, step):
        clock.right += step
        for store in stores:
            store.flush()


def counted(store: AnyStore, coarsest: int) -> dict[int, float]:
    """Return the number of messages by hash, from rows up to a resolution."""
    points, histograms = store.merge_rows(EVER, by_point, coarsest=coarsest)
    counts = GroupQuantiles.of(histograms, len(points)).edge.counts.tolist()
    return {store.points.keys[number].hash: count for number, count in zip(points.tolist(), counts, strict=True)}


def expect_counts(store: AnyStore, expected: dict[int, int]) -> None:
    for coarsest in RESOLUTIONS:
        assert counted(store, coarsest) == expected, coarsest


def history(reader: HistoryReader) -> float:
    """Return how many messages the charts of the hours around `NOW` have."""
    return float(reader.read_history(TimeRange(NOW - 2 * HOUR, NOW + HOUR)).counts.sum())


@each_kept
@pytest.mark.parametrize("ahead", [HOUR, 2 * DAY])
def test_rows_count_in_periods_that_were_rolled_up_while_the_clock_was_ahead(open_store: OpenStore, ahead: int) -> None:
    clock = Clock()
    store = open_store(now=clock.wrong, ticks=clock.ticks)
    reader = HistoryReader(store)
    report(store, 1, clock.right - 20)
    clock.wrong_by = ahead
    flush_for(clock, 500, store)
    clock.wrong_by = 0
    assert history(reader) == 4
    report(store, 2, NOW - 20)  # a service that kept it for minutes
    report(store, 3, clock.right - 20)
    expected = dict.fromkeys((1, 2, 3), 4)
    flush_for(clock, 500, store)
    expect_counts(store, expected)
    flush_for(clock, HOUR, store, step=600)
    report(store, 4, NOW - 20)  # a service that kept it for an hour
    expected[4] = 4
    flush_for(clock, 500, store)
    expect_counts(store, expected)
    assert history(reader) == 16
    clock.right += 2 * DAY
    report(store, 5, clock.right - 20)
    flush_for(clock, 1800, store, step=300)
    report(store, 6, NOW - 20)
    flush_for(clock, 500, store)
    expect_counts(store, {**expected, 5: 4, 6: 4})


@only_clickhouse
def test_agents_with_different_clocks_show_all_that_was_acknowledged(open_store: Opener) -> None:
    clock, chance, expected = Clock(), random.Random(4), Counter[int]()
    skews = (0, HOUR, -HOUR, 2 * DAY)
    agents = [open_store(now=lambda skew=skew: clock.right + skew, ticks=clock.ticks) for skew in skews]
    for number in range(16):
        agent, hash_ = chance.choice(agents), chance.randrange(6)
        report(agent, hash_, clock.right - chance.choice([20, 20, 80, 700, 4000]) - number % 7)
        expected[hash_] += 4
        flush_for(clock, 100, chance.choice(agents))
    for later in (500, HOUR, 2 * DAY):
        clock.right += later
        flush_for(clock, 500, agents[0])
        expect_counts(agents[0], expected)
        report(agents[0], 7, clock.right - 20)
        expected[7] += 4
    expect_counts(open_store(now=clock.ticks, ticks=clock.ticks), expected)


@only_clickhouse
def test_agent_that_was_away_while_rows_of_ten_seconds_were_dropped_writes_rows_that_count(open_store: Opener) -> None:
    clock = Clock()
    working, away = (open_store(now=clock.ticks, ticks=clock.ticks) for _ in range(2))
    report(working, 1, clock.right - 20)
    flush_for(clock, 400, working)
    clock.right += 2 * DAY
    report(working, 2, clock.right - 20)
    flush_for(clock, 1200, working, step=300)
    assert isinstance(working, ClickHouseStore)
    query = f"SELECT count() AS n FROM {working._db}.sketches WHERE width = 10"  # noqa: S608
    assert working._connection.query(query).to_pylist() == [{"n": 1}]
    report(away, 3, NOW - 20)
    flush_for(clock, 400, working)
    for agent in (working, away):
        expect_counts(agent, {1: 4, 2: 4, 3: 4})


@only_clickhouse
def test_offsets_and_services_are_known_to_all_agents_while_one_has_rows_of_a_clock_that_is_ahead(
    open_store: Opener,
) -> None:
    now = time()
    ahead, right, other = open_store(now=lambda: now + 3 * HOUR), *(open_store(now=lambda: now) for _ in range(2))
    report(ahead, 1, now + 3 * HOUR)
    other.maintain()
    backlogs = [{"Tags": ["topic:orders", "type:kafka_produce"], "Value": 17}]
    right.add(read_report(payload(bucket(Start=int(now) * SECOND_NS, Backlogs=backlogs), Service="shop"), ""))
    assert other.backlogs() == {("topic:orders", "type:kafka_produce"): 17}
    assert set(other.services()) == {("foreign", ""), ("shop", "")}


def test_period_is_rolled_up_again_after_each_mark() -> None:
    minute = int(NOW) // 60 * 60
    marked = Period(60, minute, marks=7, rolled=4)
    assert not Periods([marked], Days()).is_rolled(60, minute)
    assert Periods([marked._replace(rolled=7)], Days()).is_rolled(60, minute)
    assert Periods([marked], Days()).due(60, NOW + 60) == [marked]
    assert Periods([marked], Days(detail=minute + 60)).due(60, NOW + 60) == [marked]
    assert Periods([marked], Days(minute + 60, dropped=minute + 60)).due(60, NOW + 60) == []


@pytest.mark.parametrize(("seconds_ago", "due"), [(59, False), (61, True), (-5, False), (-HOUR, True)])
def test_claim_counts_for_a_minute_also_from_a_clock_that_is_ahead(seconds_ago: int, due: bool) -> None:
    period = Period(60, int(NOW) - 600, marks=1, claimed=NOW - seconds_ago)
    assert bool(Periods([period], Days()).due(60, NOW)) is due


def test_watched_period_is_settled_when_nothing_was_added_for_a_while() -> None:
    now = [100.0]
    watch, period = Watch(lambda: now[0]), Period(60, 0, marks=1)
    assert watch.settled(60, [period], 90) == []
    now[0] += 90
    assert watch.settled(60, [period], 90) == [period]
    assert watch.settled(60, [period._replace(marks=2)], 90) == []
    now[0] += 89
    assert watch.settled(60, [period._replace(marks=2)], 90) == []
