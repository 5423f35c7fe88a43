"""What the store keeps, for how long, and within which limits."""

from __future__ import annotations

from threading import Thread

import numpy as np
import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.quantiles import GroupQuantiles
from asyncdsm.agent.queries.time_ranges import covered_seconds, last_minutes
from asyncdsm.agent.queries.topology import points_of
from asyncdsm.agent.store import base
from asyncdsm.agent.store.clickhouse import store as clickhouse_store
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, Histograms, encode_key
from asyncdsm.agent.store.merger import by_point
from asyncdsm.agent.store.reports import BucketReport, PointReport, Report
from asyncdsm.agent.store.resolutions import FOREVER, TimeRange
from asyncdsm.agent.store.sqlite import store as store_module
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import MINUTE_NS, NOW_NS, SECOND_NS, bucket, payload, point
from tests.agent.stores import AnyStore, OpenStore

TAGS: tuple[str, ...] = ("partition:0", "topic:orders", "type:kafka_produce")
EVER = TimeRange(0, FOREVER)
# What takes a hundred payloads, and is no question of where they are written.
in_memory = pytest.mark.parametrize("open_store", ["memory"], indirect=True)


class Clock:
    """A clock that is set by hand: seconds since the epoch."""

    def __init__(self) -> None:
        self.now = NOW_NS / 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def report(clock: Clock, *hashes: int, minutes_ago: float = 0, service: str = "s", offset: int | None = None) -> Report:
    """Return a report of one message for each hash, and of an offset."""
    keys = [encode_key(group, sketch, 1338) for group in range(len(hashes)) for sketch in (EDGE, PATHWAY)]
    points = [PointReport(("type:kafka",), hash_, 0) for hash_ in hashes]
    start = round(clock.now * 1e9) - round(minutes_ago * MINUTE_NS)
    backlogs = [] if offset is None else [(TAGS, offset)]
    buckets = [BucketReport(start, 10 * SECOND_NS, points, backlogs)]
    return Report(service, "", "go", "", buckets, Histograms(np.array(keys, np.int64), np.ones(len(keys))))


def kept(store: AnyStore, span: TimeRange = EVER) -> dict[int, float]:
    """Return the number of messages by hash."""
    keys, cells = points_of(store, span)
    counts = GroupQuantiles.of(cells, len(keys)).edge.counts.tolist()
    return {key.hash: count for key, count in zip(keys, counts, strict=True)}


def test_rows_older_than_the_kept_time_are_deleted(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(now=clock, kept_seconds=180)
    for hash_ in range(6):
        store.add(report(clock, hash_))
        store.flush()
        clock.now += 60
    assert kept(store) == {3: 1, 4: 1, 5: 1}
    clock.now += 7200
    store.add(report(clock))
    store.flush()
    assert kept(store) == {}
    assert store.points.keys == {}
    assert (store.counters()["forgotten_rows"], store.counters()["ignored_rows"]) == (0, 0)


@pytest.mark.parametrize(("minutes_ago", "taken"), [(0, True), (2, True), (3.2, False), (1e6, False)])
def test_bucket_that_is_too_old_is_ignored_and_counted(
    open_store: OpenStore, clock: Clock, minutes_ago: float, taken: bool
) -> None:
    store = open_store(now=clock, kept_seconds=180)
    store.add(report(clock, 3))
    store.add(report(clock, 1, 2, minutes_ago=minutes_ago, offset=5))
    assert kept(store) == ({1: 1, 2: 1, 3: 1} if taken else {3: 1})
    assert store.backlogs() == ({TAGS: 5} if taken else {})
    assert (store.payloads, store.counters()["ignored_rows"]) == (2, 0 if taken else 2)


@pytest.mark.parametrize("minutes_ahead", [0.5, 2, 60, 1e6])
def test_bucket_of_a_clock_that_is_ahead_counts_as_now(
    open_store: OpenStore, clock: Clock, minutes_ahead: float
) -> None:
    store = open_store(now=clock)
    store.add(report(clock, 1, minutes_ago=-minutes_ahead, offset=5))
    assert kept(store, last_minutes(store, 1)) == {1: 1}
    assert store.backlogs() == {TAGS: 5}
    assert store.counters()["clamped_buckets"] == (minutes_ahead > 1)


@pytest.mark.parametrize("wrong_by", [86_400 * 400, -86_400 * 400])
def test_rows_are_kept_when_the_clock_of_the_agent_is_set(open_store: OpenStore, clock: Clock, wrong_by: float) -> None:
    """A wrong clock deletes no payload that was acknowledged."""
    store, right = open_store(now=clock), clock.now
    sender = Clock()
    store.add(report(sender, 1))
    store.flush()
    clock.now = right + wrong_by
    sender.now += 10
    store.add(report(sender, 2))
    store.flush()
    clock.now = right + 20
    sender.now += 10
    store.add(report(sender, 3))
    store.flush()
    expected = {1: 1, 2: 1, 3: 1}
    assert kept(store) == expected
    clock.now = sender.now = right + 7200
    store.add(report(sender, 4))
    store.flush()
    assert kept(store) == {**expected, 4: 1}


def test_rows_of_a_time_to_come_count_when_it_comes(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(now=clock)
    store.add(report(clock, 1))
    clock.now += 3_600  # until the machine's clock is set
    store.add(report(clock, 2))
    store.add(report(clock, 3, service="gone"))
    if isinstance(store, SQLiteStore):
        store.flush()
    clock.now -= 3_600
    store.add(report(clock, 4))
    assert kept(store) == {1: 1, 4: 1}
    clock.now += 3_600
    assert kept(store) == {1: 1, 2: 1, 3: 1, 4: 1}


def test_all_rows_count_while_the_clock_of_the_agent_is_behind(open_store: OpenStore, clock: Clock) -> None:
    store, sender = open_store(now=clock), Clock()
    store.add(report(sender, 1))
    clock.now -= 3_600
    sender.now += 10
    store.add(report(sender, 2))
    assert kept(store) == {1: 1, 2: 1}


def test_rows_beyond_the_limit_are_deleted_oldest_first(clock: Clock) -> None:
    store = SQLiteStore(now=clock, max_rows=10)
    for minutes_ago in (3, 1, 2):
        store.add(report(clock, *range(minutes_ago * 10, minutes_ago * 10 + 4), minutes_ago=minutes_ago))
    assert sorted(kept(store)) == [10, 11, 12, 13, 20, 21, 22, 23]
    assert store.counters()["forgotten_rows"] == 4
    store.add(report(clock, *range(1000)))
    assert len(kept(store)) <= 10
    store.add(report(clock, 1))
    assert kept(store) == {1: 1}
    assert store.counters()["forgotten_rows"] == 4 + 8 + 1000


def test_rows_are_deleted_when_the_store_exceeds_its_bytes(clock: Clock) -> None:
    store, chance = SQLiteStore(now=clock, max_bytes=300_000), np.random.default_rng(1)
    for _ in range(60):
        one = report(clock, *range(100))
        keys = np.concatenate([encode_key(group, EDGE, 0) + chance.integers(0, 2_000, 50) for group in range(100)])
        store.add(one._replace(histograms=Histograms(keys, chance.integers(1, 200, 5_000).astype(np.float64))))
        store.flush()
        clock.now += 10
    assert store.used_bytes() <= 300_000
    assert store.counters()["forgotten_rows"] > 0
    assert kept(store, TimeRange(clock.now - 60, FOREVER))


def test_point_reported_twice_in_a_bucket_is_one_row(clock: Clock) -> None:
    store = SQLiteStore(now=clock, max_rows=2)
    for _ in range(5):
        store.add(report(clock, 1, 2))
    assert kept(store) == {1: 5, 2: 5}
    assert store.counters()["forgotten_rows"] == 0


def test_oldest_pathways_are_evicted_beyond_the_limit(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(now=clock, max_points=10)
    store.add(report(clock, *range(10)))
    store.add(report(clock, 10))
    assert sorted(kept(store)) == list(range(1, 11))
    store.flush()
    assert sorted(kept(store)) == list(range(1, 11))


def test_offset_of_the_newest_bucket_is_the_latest(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(now=clock)
    for minutes_ago, offset, expected in [
        (5, 100, 100),
        (5, 120, 120),
        (5, 110, 120),
        (1, 3, 3),
        (4, 900, 3),
        (1, 7, 7),
    ]:
        store.add(report(clock, minutes_ago=minutes_ago, offset=offset))
        assert store.backlogs() == {TAGS: expected}
        store.flush()
        assert store.backlogs() == {TAGS: expected}
    ago = [round((clock.now - start) / 60) for _, start, _ in store.offsets(EVER)]
    assert (ago, [value for _, _, value in store.offsets(EVER)]) == ([5, 4, 1], [120, 900, 7])


def test_backlogs_and_services_are_evicted_beyond_their_limits(
    open_store: OpenStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_BACKLOGS", 10)
    monkeypatch.setattr(base, "MAX_SERVICES", 10)
    monkeypatch.setattr(clickhouse_store, "MAX_BACKLOGS", 10)
    store = open_store(now=clock)
    for number in range(25):
        backlogs = [{"Tags": [f"topic:{name}"], "Value": 1} for name in ("always", number)]
        store.add(read_report(payload(bucket(Backlogs=backlogs), Service=f"s{number}"), ""))
        store.add(read_report(payload(Service="always"), ""))
    assert set(store.backlogs()) == {("topic:always",), *((f"topic:{number}",) for number in range(16, 25))}
    assert set(store.services()) == {("always", ""), *((f"s{number}", "") for number in range(16, 25))}


def test_services_have_the_time_of_their_last_report(open_store: OpenStore, clock: Clock) -> None:
    store = open_store(now=clock)
    for env in ("prod", None, "prod"):
        clock.now += 5
        store.add(read_report(payload(Env=env), ""))
    assert store.services() == {("foreign", "prod"): clock.now, ("foreign", ""): clock.now - 5}


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 1.0), (2, 60.0), (1440, 90.0)])
def test_rate_is_over_the_time_that_has_data(open_store: OpenStore, clock: Clock, minutes: int, seconds: float) -> None:
    store = open_store(now=clock)
    clock.now = clock.now // 60 * 60
    store.add(report(clock, 1, minutes_ago=1.5))
    store.add(report(clock, 1, minutes_ago=1))
    store.add(report(clock, 1))
    assert covered_seconds(store, last_minutes(store, minutes)) == pytest.approx(seconds)


@in_memory
def test_reports_of_many_threads_are_all_counted(open_store: OpenStore, clock: Clock) -> None:
    store, body = open_store(now=clock), payload(bucket(*(point(Hash=hash_) for hash_ in range(20))))

    def send() -> None:
        for _ in range(20):
            store.add(read_report(body, ""))
            kept(store)

    threads = [Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept(store) == dict.fromkeys(range(20), 4 * 20 * 4)
    assert store.payloads == 80


@in_memory
@pytest.mark.parametrize("has_points", [True, False])
def test_buckets_that_creep_ahead_do_not_make_others_too_old(
    open_store: OpenStore, clock: Clock, has_points: bool
) -> None:
    store, now = open_store(now=clock), int(clock.now)
    for number in range(1, 100):
        points = [point(Hash=number)] if has_points else []
        store.add(read_report(payload(bucket(*points, Start=NOW_NS + number * 50 * SECOND_NS), Service="creeping"), ""))
    store.add(read_report(payload({"Stats": [point(Hash=1000)]}), ""))  # it does not say when it was
    assert kept(store, TimeRange(now - 60, now + 120))[1000] == 4
    store.add(read_report(payload(bucket(point(Hash=1001), Start=NOW_NS + 3600 * SECOND_NS)), ""))
    assert kept(store, TimeRange(now - 60, now + 120))[1001] == 4


@pytest.mark.parametrize("written", [False, True])
def test_rows_of_one_service_are_those_of_no_other(open_store: OpenStore, clock: Clock, *, written: bool) -> None:
    store = open_store(now=clock)
    for service, hash_ in (("a", 1), ("b", 2), ("a", 3)):
        store.add(report(clock, hash_, service=service))
    if written:
        store.flush()
    for service, expected in (("a", {1, 3}), ("b", {2})):
        points, _ = store.merge_rows(EVER, by_point, service=store.points.services[service, ""])
        assert {store.points.keys[point].hash for point in points.tolist()} == expected
    assert len(store.merge_rows(EVER, by_point, service=9).labels) == 0
