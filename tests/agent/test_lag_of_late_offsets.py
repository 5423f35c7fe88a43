"""Lag is the same in whatever order offsets were reported: live, after a restart, at each endpoint, for each agent."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.lag import current_lags
from asyncdsm.agent.queries.lag_over_time import lag_over_time
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.store.sqlite import state
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW, bucket, payload
from tests.agent.running import agent
from tests.agent.stores import KEPT_KINDS, AnyStore, OpenStore
from tests.agent.test_lag import COMMITTED, PRODUCED, WATERMARK, Tags

END = int(NOW) // 10 * 10 - 10
BUCKETS = 45
Reported = tuple[int, Tags, int]
"""How many seconds before `END` a bucket starts, and an offset in it."""


def add(store: AnyStore, reported: Iterable[Reported]) -> None:
    """Report offsets in this order, each in a payload of its own."""
    for ago, tags, value in reported:
        offset = bucket(Start=(END - ago) * 10**9, Backlogs=[{"Tags": tags, "Value": value}])
        store.add(read_report(payload(offset), ""))


def timeline(chance: Random) -> list[Reported]:
    """Return what two producers and a consumer report, who has read a part of it."""
    reported, end, read = list[Reported](), 0, 0
    for ago in range((BUCKETS - 1) * 10, -10, -10):
        count = chance.choice((0, 1, 7, 40))
        if count:
            reported += [(ago, PRODUCED, end + chance.randrange(count)) for _ in range(chance.choice((0, 1, 2)))]
            reported.append((ago, PRODUCED, end + count - 1))
        end += count
        if not chance.randrange(3):
            reported.append((ago, WATERMARK, end - chance.randrange(count + 1)))
        if not chance.randrange(4):
            read = chance.randrange(read, read + max(1, (end - read) // 3) + 1)
            reported.append((ago, COMMITTED, min(read, end)))
    return [*reported, (0, PRODUCED, end), (0, COMMITTED, min(read, end))]


def mix(reported: list[Reported], chance: Random) -> list[Reported]:
    """Return the same in another order: a part comes late, by up to all of the time."""
    late = chance.choice((30, 150, BUCKETS * 10))
    return sorted(reported, key=lambda each: chance.choice((0, chance.randrange(late))) - each[0])


def answers(store: AnyStore) -> tuple[object, ...]:
    """Return all that is said of lag."""
    time_range = last_minutes(store, 10)
    lags = current_lags(store, time_range)
    over_time = lag_over_time(store, time_range, "orders", None).series
    return lags.partitions, lags.groups, over_time, sorted(store.recent_offsets())


def last_ages(store: AnyStore) -> tuple[list[float | None], list[float | None]]:
    """Return the ages of the lags, by two ways."""
    lags = current_lags(store, last_minutes(store, 10)).partitions
    series = lag_over_time(store, last_minutes(store, 10), "orders", None).series
    return [each.seconds for each in lags], [each.points[-1].seconds for each in series]


def in_order(reported: list[Reported]) -> tuple[object, ...]:
    """Return what is said if everything was reported in time."""
    with closing(SQLiteStore(now=lambda: NOW)) as store:
        add(store, sorted(reported, key=lambda each: -each[0]))
        return answers(store)


def add_and_look(stores: list[AnyStore], reported: list[Reported], chance: Random) -> None:
    """Report to one of some stores at a time, which are asked, and write, now and then."""
    for each in reported:
        add(chance.choice(stores), [each])
        if not chance.randrange(12):
            store = chance.choice(stores)
            chance.choice((store.flush, lambda store=store: answers(store)))()


def open_file(folder: str) -> SQLiteStore:
    return SQLiteStore(Path(folder, "store.db"), decode=read_report, now=lambda: NOW)


@pytest.mark.parametrize("seed", range(8))
def test_lag_is_the_same_in_whatever_order_offsets_come(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_PAUSE_SECONDS", 0)
    chance = Random(seed)
    reported = timeline(chance)
    expected = in_order(reported)
    with TemporaryDirectory() as folder:
        with closing(open_file(folder)) as store:
            add_and_look([store], mix(reported, chance), chance)
            assert answers(store) == expected
            by_map, by_series = last_ages(store)
            assert by_map == by_series
        with closing(open_file(folder)) as store:
            assert answers(store) == expected


@pytest.mark.parametrize("open_store", ["clickhouse"], indirect=True)
@pytest.mark.parametrize("seed", range(3))
def test_agents_of_one_clickhouse_agree_on_lag(open_store: OpenStore, seed: int) -> None:
    chance = Random(seed)
    reported = timeline(chance)[-30:]
    expected = in_order(reported)
    stores = [open_store(now=lambda: NOW) for _ in range(2)]
    add_and_look(stores, mix(reported, chance), chance)
    stores.append(open_store(now=lambda: NOW))
    for store in stores:
        store.maintain()
        assert answers(store) == expected


def steady(ago: int) -> Reported:
    return ago, PRODUCED, 2000 - ago


RARE = [(180, PRODUCED, 1820), (0, PRODUCED, 2000), (240, COMMITTED, 1760), (0, COMMITTED, 1850)]
EARLY = [
    (240, PRODUCED, 500),
    (240, COMMITTED, 400),
    (180, PRODUCED, 1011),
    (0, PRODUCED, 1116),
    (0, COMMITTED, 1016),
]
CASES = {
    "what another producer delivered late": ([*RARE, *map(steady, range(240, 0, -10))], 150.5),
    "a higher offset of a bucket": ([*EARLY, (180, PRODUCED, 1111)], 181.56),
}


@pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_each_endpoint_says_the_same_age_after_late_reports_and_after_a_restart(
    open_store: OpenStore, case: str
) -> None:
    reported, seconds = CASES[case]
    store = open_store(now=lambda: NOW)
    for each in reported:
        add(store, [each])
        current_lags(store, last_minutes(store, 10))
    for is_restarted in (False, True):
        if is_restarted:
            store.close()
            store = open_store(now=lambda: NOW)
        with agent(store=store) as running, httpx2.Client(base_url=running.url, timeout=30) as client:
            (series,) = client.get("/api/lag?topic=orders&minutes=10").json()["series"]
            (lag,) = client.get("/api/topology?minutes=10").json()["lag"]
            metrics = client.get("/api/metrics").text
        exported = [
            sample.value
            for family in text_string_to_metric_families(metrics)
            for sample in family.samples
            if sample.name == "asyncdsm_consumer_lag_seconds"
        ]
        ages = [series["points"][-1]["seconds"], lag["seconds"], *exported]
        assert ages == pytest.approx([seconds] * 3, abs=0.05)
