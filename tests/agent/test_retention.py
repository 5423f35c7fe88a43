"""A store that is full: it loses detail before it loses history, and one service's history never for another's."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, Histograms, encode_key
from asyncdsm.agent.store.limits import LEAST_REACH, REACH_WEIGHTS
from asyncdsm.agent.store.reports import BucketReport, PointReport, Report
from asyncdsm.agent.store.resolutions import FOREVER, RESOLUTIONS, TimeRange
from asyncdsm.agent.store.sqlite.segments import oldest_starts
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW
from tests.agent.test_resolutions import Clock
from tests.agent.test_store import kept

HOUR, DAY = 3_600, 86_400
STEP = 300
BEGAN = int(NOW) // DAY * DAY


def report(start: int, points: int, service: str = "s") -> Report:
    """Return a report of one message for each of some points."""
    keys = [encode_key(group, sketch, 1338) for group in range(points) for sketch in (EDGE, PATHWAY)]
    listed = [PointReport(("type:kafka",), hash_, 0) for hash_ in range(points)]
    buckets = [BucketReport(start * 10**9, 10 * 10**9, listed, [])]
    return Report(service, "", "go", "", buckets, Histograms(np.array(keys, np.int64), np.ones(len(keys))))


def run_full(store: SQLiteStore, clock: Clock, seconds: int, services: dict[str, int]) -> None:
    """Let services report for some seconds, each with as many points as `services` has."""
    until = clock.now + seconds
    while clock.now < until:
        for service, points in services.items():
            store.add(report(int(clock.now), points, service))
        clock.now += STEP
        if clock.now % 1_800 == 0:
            store.flush()


def reaches(store: SQLiteStore, clock: Clock) -> dict[int, float]:
    """Return how far back rows of each resolution reach, in seconds."""
    with store._state.lock:
        firsts = oldest_starts(store._state.file.connection)
    return {width: clock.now - first for width, first in firsts.items()}


def test_full_store_keeps_short_history_in_detail_and_long_history_in_hours(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "store.db"
    # A day writes 288 + 288 + 144 + 24 rows of each point.
    with closing(SQLiteStore(path, decode=read_report, now=clock, max_rows=5 * 360)) as store:
        run_full(store, clock, 2 * DAY, {"s": 5})
        found = reaches(store, clock)
        assert found[3600] >= 2 * DAY - HOUR
        assert LEAST_REACH < found[10] < 6 * HOUR
        weighed = [found[width] / weight for width, weight in REACH_WEIGHTS.items() if found[width] < 2 * DAY - HOUR]
        assert len(weighed) >= 2
        assert max(weighed) < 1.5 * min(weighed)
        assert store.counters()["rows"] <= 5 * 360
        assert store.counters()["forgotten_rows"] == 0
        assert set(kept(store).values()) == {2 * DAY / STEP}
        # Whole hours of the past, and ten seconds of just now, have exactly their messages.
        assert set(kept(store, TimeRange(BEGAN + HOUR, BEGAN + 5 * HOUR)).values()) == {4 * HOUR / STEP}
        assert set(kept(store, TimeRange(clock.now - 1_200, FOREVER)).values()) == {4}


def test_hours_give_way_before_the_last_hour_loses_its_detail() -> None:
    clock = Clock()
    with closing(SQLiteStore(now=clock, max_rows=5 * 235)) as store:
        run_full(store, clock, 3 * DAY, {"s": 5})
        found = reaches(store, clock)
        assert found[10] >= LEAST_REACH
        assert DAY - HOUR <= found[3600] < 2 * DAY
        assert store.counters()["forgotten_rows"] > 0


def test_service_with_most_rows_keeps_its_history_while_detail_can_go() -> None:
    clock = Clock()
    with closing(SQLiteStore(now=clock, max_rows=6 * 258)) as store:
        run_full(store, clock, DAY, {"large": 4, "small": 2})
        assert reaches(store, clock)[10] < DAY / 4
        assert store.counters()["forgotten_rows"] == 0
        assert set(kept(store).values()) == {DAY / STEP}


def test_coarser_rows_reach_back_farther_than_finer_ones_however_small_the_store_is() -> None:
    for rows in (10, 40, 160, 640):
        clock = Clock()
        with closing(SQLiteStore(now=clock, max_rows=rows)) as store:
            run_full(store, clock, DAY // 4, {"s": 2})
            since = [store._state.coverages[width].since for width in RESOLUTIONS]
            assert since == sorted(since, reverse=True)
            assert store.counters()["rows"] <= rows
