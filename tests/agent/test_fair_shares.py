"""A service that reports too much takes no room, no history and no place in answers from other services."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries import pathways as pathways_module
from asyncdsm.agent.queries import topology as topology_module
from asyncdsm.agent.queries.answer_limits import AnswerLimits
from asyncdsm.agent.store import base
from asyncdsm.agent.store.clickhouse import store as clickhouse_store
from asyncdsm.agent.store.resolutions import RESOLUTIONS, TimeRange
from asyncdsm.agent.store.shares import FairAdmission, FairShares
from asyncdsm.agent.store.sqlite import store as store_module
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import NOW, Client, bucket, payload, point
from tests.agent.stores import KEPT_KINDS, AnyStore, Opener, OpenStore
from tests.agent.test_store import EVER, Clock, clock, kept, report

__all__ = ["clock"]
each_kind = pytest.mark.parametrize("open_store", ["memory", "file", "clickhouse"], indirect=True)


def reported(store: AnyStore, clock: Clock, service: str, *hashes: int, minutes_ago: float = 0) -> None:
    store.add(report(clock, *hashes, service=service, minutes_ago=minutes_ago))


def hashes_of(store: AnyStore, service: str) -> list[int]:
    return sorted(key.hash for key in store.points.keys.values() if key.service == service)


@each_kind
def test_flood_of_pathways_evicts_the_oldest_of_the_same_service(clock: Clock, open_store: Opener) -> None:
    with closing(open_store(now=clock, max_points=100)) as store:
        reported(store, clock, "shop", *range(20))
        for first in range(1000, 2000, 90):
            reported(store, clock, "flood", *range(first, first + 90))
            reported(store, clock, "shop", 7)
        reported(store, clock, "shop", 20, 21)
        reported(store, clock, "new", 1)
        store.flush()
        assert hashes_of(store, "shop") == list(range(22))
        assert hashes_of(store, "new") == [1]
        flood = hashes_of(store, "flood")
        assert flood == list(range(flood[0], 2080))
        assert len(store.points.keys) <= 100
        counted = kept(store)
        assert counted[7] == 1 + len(range(1000, 2000, 90))
    if open_store.kind in KEPT_KINDS:
        with closing(open_store(now=clock, max_points=100)) as store:
            again = kept(store)
        others = {hash_: count for hash_, count in counted.items() if hash_ < 1000}
        assert {hash_: count for hash_, count in again.items() if hash_ < 1000} == others
        # Which pathway of one payload came first is known to the file alone.
        assert set(again) - set(others) <= set(flood if open_store.kind == "file" else range(1990, 2080))
        assert len(again) == len(counted)


def test_numbers_of_evicted_pathways_are_not_used_again(clock: Clock, tmp_path: Path) -> None:
    path, seen = tmp_path / "store.db", set[int]()
    for turn in range(4):
        with closing(SQLiteStore(path, decode=read_report, now=clock, max_points=3)) as store:
            for hash_ in range(10):
                reported(store, clock, "s", 100 * turn + hash_)
                seen.add(max(store.points.keys))
            store.flush()
    assert len(seen) == 40


def test_flood_of_services_evicts_the_least_recently_reported(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, open_store: OpenStore
) -> None:
    monkeypatch.setattr(base, "MAX_NAMES", 10)
    store = open_store(now=clock)
    for number in range(30):
        reported(store, clock, f"s{number}", number)
        reported(store, clock, "shop", 1000)
    store.flush()
    assert sorted(kept(store)) == [*range(21, 30), 1000]
    assert len(store.points.services) == 10


def test_rolled_up_rows_leave_out_evicted_pathways(clock: Clock, open_store: OpenStore) -> None:
    store, began = open_store(now=clock, ticks=clock, max_points=10), clock.now
    for hash_ in range(30):
        reported(store, clock, "s", hash_)
        store.maintain()
        clock.now += 10
    expected = kept(store)
    for _ in range(4):
        clock.now += 1800
        store.flush()
    hours = store.roll_up_versions(TimeRange(began - 3600, clock.now), RESOLUTIONS[-1])
    assert hours
    assert kept(store) == expected


def test_service_with_most_rows_loses_rows_first(clock: Clock) -> None:
    store = SQLiteStore(now=clock, max_rows=500)
    reported(store, clock, "shop", *range(5))
    for _ in range(20):
        clock.now += 10
        reported(store, clock, "flood", *range(1000, 1100))
        reported(store, clock, "shop", *range(5))
        store.flush()
    counted = kept(store)
    assert [counted[hash_] for hash_ in range(5)] == [21] * 5
    assert store.counters()["rows"] <= 500
    assert store.counters()["forgotten_rows"] > 0


@each_kind
def test_flood_of_backlogs_evicts_backlogs_of_the_same_service(
    monkeypatch: pytest.MonkeyPatch, open_store: Opener
) -> None:
    for module in (store_module, clickhouse_store):
        monkeypatch.setattr(module, "MAX_BACKLOGS", 20)

    def offsets(service: str, *topics: object) -> None:
        backlogs = [{"Tags": [f"topic:{topic}"], "Value": 1} for topic in topics]
        store.add(read_report(payload(bucket(Backlogs=backlogs), Service=service), ""))

    with closing(open_store(now=lambda: NOW)) as store:
        offsets("shop", "orders", "mails")
        offsets("flood", *range(1000))
        store.flush()
        offsets("flood", *range(1000, 1500))
        store.flush()
        expected = {("topic:orders",), ("topic:mails",)}
        assert expected < set(store.backlogs())
        assert len(store.backlogs()) <= 20
        assert {tags for tags, _, _ in store.offsets(EVER)} == set(store.backlogs())
    if open_store.kind in KEPT_KINDS:
        with closing(open_store(now=lambda: NOW)) as store:
            offsets("flood", *range(2000, 2100))
            assert expected < set(store.backlogs())


@given(
    uses=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=200),
    most=st.integers(1, 20),
)
def test_shares_are_bounded_and_fair(uses: list[tuple[int, int]], most: int) -> None:
    shares, present = FairShares[int, tuple[int, int]](most), dict[tuple[int, int], None]()
    for owner, item in uses:
        present.pop((owner, item), None)
        present[owner, item] = None
        before = Counter(owner for owner, _ in present)
        for gone in shares.use(owner, (owner, item)):
            del present[gone]
            # Nobody is cut below what everybody may have.
            assert Counter(owner for owner, _ in present)[gone[0]] >= min(before[gone[0]], most // len(before)) - 1
        assert shares.weight == len(present) <= most
    if uses:
        assert uses[-1] in present


@given(
    wanted=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=200),
    most=st.integers(5, 20),
)
def test_admission_is_bounded_and_fair(wanted: list[tuple[int, int]], most: int) -> None:
    admission, admitted = FairAdmission[int, int](most), set[tuple[int, int]]()
    for owner, item in wanted:
        has = sum(each[0] == owner for each in admitted)
        if admission.admit(owner, item):
            admitted.add((owner, item))
        else:
            assert (owner, item) not in admitted
            assert len(admitted) >= most
            assert has >= most // 5 or len(admitted) == 2 * most
    assert len(admitted) <= 2 * most


def test_answer_limits_keep_the_busiest_of_each_owner() -> None:
    cut = AnswerLimits()
    counts = np.array([5.0, 1, 9, 2, 3, 7])
    assert cut.keep_busiest("edges", counts, list("aaaabb"), 4) == [0, 2, 4, 5]
    assert cut.left_out == {"edges": 2}
    assert AnswerLimits().left_out == {}


async def test_answers_are_cut_and_report_how_much(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology_module, "MOST_PATHWAYS", 10)
    monkeypatch.setattr(topology_module, "MOST_EDGES", 5)
    for service, count in (("flood", 40), ("shop", 3)):
        points = [point(Hash=100 + hash_, EdgeTags=["type:kafka", f"topic:t{hash_ % 20}"]) for hash_ in range(count)]
        await client.report(payload(bucket(*points), Service=service))
    shown = await client.topology()
    assert shown["cut"] == {"edges": 20 + 3 - 4, "pathways": 33}
    assert Counter(one["service"] for one in shown["pathways"]) == {"flood": 7, "shop": 3}
    assert Counter(one["service"] for one in shown["edges"]) == {"flood": 2, "shop": 2}
    assert {service["name"]: service["pathways"] for service in shown["services"]} == {"flood": 40, "shop": 3}
    assert (await client.get("/api/map")).json()["left_out"] == 19
    pathways = (await client.get("/api/pathways", params={"service": "flood"})).json()
    assert "cut" not in pathways
    monkeypatch.setattr(pathways_module, "MOST_PATHWAYS", 4)
    pathways = (await client.get("/api/pathways", params={"service": "flood", "minutes": 20})).json()
    assert (len(pathways["pathways"]), pathways["cut"]["pathways"]) == (4, 36)
