"""Since when a rate fell or rose, to ten seconds: by what services report every ten seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.answers import Change
from asyncdsm.agent.queries.changes import list_changes
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.rate_begins import find_steps
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW
from tests.agent.timeline import Hop, Timeline

START = int(NOW) // 3600 * 3600
BUCKET, MINUTE, HOUR = 10, 60, 3_600
BEGIN = 30 * MINUTE
SHOP = Hop("shop", direction="out", latency=0.001)
BILLING, OTHER = Hop("billing"), Hop("billing", queue="other")


def run_for_half_an_hour() -> Timeline:
    timeline = Timeline(START)
    timeline.run(BEGIN, SHOP, BILLING, OTHER)
    return timeline


def run_with_noise(timeline: Timeline, means: Iterable[float], seed: int) -> None:
    """Let a random number of messages pass in each ten seconds, of which the means are given."""
    for messages in np.random.default_rng(seed).poisson(list(means)).tolist():
        timeline.run(BUCKET, SHOP, OTHER, *([BILLING._replace(messages=messages)] if messages else []))


def find_rates(store: SQLiteStore, minutes: int = 10) -> Iterator[Change]:
    """Yield the rates that changed of the hop that the tests change."""
    for change in list_changes(HistoryReader(store), last_minutes(store, minutes)).changes:
        if change.kind in {"rate fell", "rate rose"}:
            assert (change.service, change.queue) == ("billing", "orders")
            yield change


def since(timeline: Timeline, minutes: int = 10) -> float:
    """Return since when the rate changed, in seconds since it had been the same for half an hour."""
    (change,) = find_rates(timeline.store, minutes)
    return change.since - START - BEGIN


@pytest.mark.parametrize("seconds", range(0, 60, BUCKET))
@pytest.mark.parametrize("messages", [0, 60])
def test_sudden_change_has_its_ten_seconds(seconds: int, messages: int) -> None:
    timeline = run_for_half_an_hour()
    timeline.run(seconds, SHOP, BILLING, OTHER)
    timeline.run(4 * MINUTE, SHOP, OTHER, *([BILLING._replace(messages=messages)] if messages else []))
    assert since(timeline) == seconds


def test_bucket_in_which_messages_stopped_is_the_last_one_before() -> None:
    timeline = run_for_half_an_hour()
    timeline.run(20, SHOP, BILLING, OTHER)
    timeline.run(BUCKET, SHOP, OTHER, BILLING._replace(messages=7))
    timeline.run(4 * MINUTE, SHOP, OTHER)
    assert since(timeline) == 30


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("before", "after"), [(60, 24), (20, 60), (20, 0.2)])
def test_noise_moves_the_begin_by_ten_seconds_at_most(seed: int, before: float, after: float) -> None:
    timeline = Timeline(START)
    timeline.run(18 * MINUTE, SHOP, BILLING._replace(messages=int(before)), OTHER)
    begin = 12 * MINUTE + seed * BUCKET
    run_with_noise(timeline, [before] * (begin // BUCKET) + [after] * 30, seed)
    (change,) = find_rates(timeline.store)
    assert abs(change.since - START - 18 * MINUTE - begin) <= BUCKET


def test_rate_that_falls_slowly_fell_since_it_left_its_level_and_that_does_not_move() -> None:
    timeline, found = run_for_half_an_hour(), list[float]()
    for minute in range(12):
        fewer = BILLING._replace(messages=round(200 * 0.85 ** (minute + 1)))
        timeline.run(MINUTE, SHOP, OTHER, fewer)
        found += [change.since - START - BEGIN for change in find_rates(timeline.store)]
    assert len(found) > 5
    assert {*found} == {found[-1]}


def test_begin_stays_when_only_coarser_slots_show_it() -> None:
    timeline = Timeline(START)
    timeline.run(2 * HOUR, SHOP, BILLING, OTHER)
    timeline.run(40, SHOP, BILLING, OTHER)
    for minutes in (4, 30, 60, 240):
        timeline.run(minutes * MINUTE, SHOP, OTHER)
        timeline.store.flush()
        assert since(timeline, 7 * 60) == 2 * HOUR - BEGIN + 40


def test_minute_is_told_where_no_ten_seconds_are_kept() -> None:
    timeline = run_for_half_an_hour()
    for minute, messages in enumerate([10, 0, 0, 0]):
        start = timeline.start + minute * MINUTE
        timeline.time = start + MINUTE + BUCKET
        for hop in (SHOP, OTHER, BILLING._replace(messages=messages)):
            timeline.store.add(read_report(hop.payload(start, MINUTE), ""))
    timeline.time += 30
    assert since(timeline) == 0


@pytest.mark.parametrize("behind", [0, 45, 70, 300])
def test_service_that_reports_late_or_whose_clock_is_behind_has_its_own_time(behind: int) -> None:
    time = float(START)
    store = SQLiteStore(now=lambda: time)
    found = set[float]()
    for start in range(START, START + 30 * MINUTE, BUCKET):
        time = start + 12.0
        rate = [BILLING] if start < START + 20 * MINUTE + 30 else []
        store.add(read_report(SHOP.payload(start, BUCKET), ""))
        for hop in (OTHER, *rate):
            store.add(read_report(hop.payload(start - behind, BUCKET), ""))
        if start % MINUTE == 0:
            store.flush()
            found |= {change.since for change in find_rates(store)}
    assert found == {(START + 20 * MINUTE + 30 - behind) // BUCKET * BUCKET}


def test_step_is_where_it_is_most_likely() -> None:
    fell, rose, steady = [9.0, 11, 10, 9, 3, 0, 1, 0], [0.0, 0, 0, 4, 0, 9, 8, 12], [5.0] * 8
    every = np.array([True] * 8)
    found = find_steps(np.array([fell, rose, steady]), np.array([-1.0, 1.0, 1.0]), every)
    assert found == [4, 5, None]
    assert find_steps(np.array([rose]), np.array([1.0]), every & (np.arange(8) < 4)) == [3]
    assert find_steps(np.array([fell, rose]), np.array([1.0, -1.0]), every & (np.arange(8) < 3)) == [None, None]
    assert find_steps(np.array([fell]), np.array([-1.0]), every & False) == [None]
