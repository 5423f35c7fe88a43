"""What is kept, for how long, and how much of it."""

from __future__ import annotations

from threading import Thread

import pytest

from asyncdsm.agent import store as store_module
from asyncdsm.agent.intake import BucketReport, PointReport, Report, read_report
from asyncdsm.agent.store import Store
from asyncdsm.sketch import Sketch
from tests.agent.payloads import MINUTE_NS, NOW_NS, SECOND_NS, bucket, payload, point

TAGS: tuple[str, ...] = ("partition:0", "topic:orders", "type:kafka_produce")


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
    """Return a report of one message per hash, and of an offset."""
    one = Sketch({1338: 1})
    points = [PointReport(("type:kafka",), hash_, 0, one, one, Sketch()) for hash_ in hashes]
    start = round(clock.now * 1e9) - round(minutes_ago * MINUTE_NS)
    backlogs = [] if offset is None else [(TAGS, offset)]
    return Report(service, "", "go", "", [BucketReport(start, 10 * SECOND_NS, points, backlogs)])


def kept(store: Store, minutes: int = 1440) -> dict[int, float]:
    """Return the messages by hash."""
    return {key.hash: row.edge_latency.count for key, row in store.rows(minutes)[0].items()}


def test_minutes_are_forgotten(clock: Clock) -> None:
    store = Store(now=clock, kept_minutes=3)
    for hash_ in range(6):
        store.add(report(clock, hash_))
        clock.now += 60
    assert kept(store) == {3: 1, 4: 1, 5: 1}
    clock.now += 3600
    store.add(report(clock))
    assert kept(store) == {}
    assert (store.forgotten_rows, store.ignored_rows) == (0, 0)


@pytest.mark.parametrize(
    ("minutes_ago", "taken"), [(0, True), (2, True), (3, False), (1e6, False), (-1, True), (-2, False)]
)
def test_too_old_or_too_early(clock: Clock, minutes_ago: float, taken: bool) -> None:
    store = Store(now=clock, kept_minutes=3)
    store.add(report(clock, 1, 2, minutes_ago=minutes_ago, offset=5))
    assert kept(store) == ({1: 1, 2: 1} if taken else {})
    assert store.backlogs() == ({TAGS: 5} if taken else {})
    assert (store.payloads, store.ignored_rows) == (1, 0 if taken else 2)


def test_rows_are_bounded_and_the_oldest_go_first(clock: Clock) -> None:
    store = Store(now=clock, max_rows=10)
    for minutes_ago in (3, 1, 2):
        store.add(report(clock, *range(minutes_ago * 10, minutes_ago * 10 + 4), minutes_ago=minutes_ago))
    assert sorted(kept(store)) == [10, 11, 12, 13, 20, 21, 22, 23]
    assert store.forgotten_rows == 4
    store.add(report(clock, *range(1000)))
    assert len(kept(store)) <= 10
    store.add(report(clock, 1))
    assert kept(store) == {1: 1}
    assert store.forgotten_rows == 4 + 8 + 1000


def test_a_row_counts_once(clock: Clock) -> None:
    store = Store(now=clock, max_rows=2)
    for _ in range(5):
        store.add(report(clock, 1, 2))
    assert kept(store) == {1: 5, 2: 5}
    assert store.forgotten_rows == 0


def test_the_newest_bucket_has_the_offset(clock: Clock) -> None:
    store = Store(now=clock)
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


def test_backlogs_and_services_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_BACKLOGS", 10)
    monkeypatch.setattr(store_module, "MAX_SERVICES", 10)
    store = Store(now=clock)
    for number in range(25):
        backlogs = [{"Tags": [f"topic:{name}"], "Value": 1} for name in ("always", number)]
        store.add(read_report(payload(bucket(Backlogs=backlogs), Service=f"s{number}"), ""))
        store.add(read_report(payload(Service="always"), ""))
    assert set(store.backlogs()) == {("topic:always",), *((f"topic:{number}",) for number in range(16, 25))}
    assert set(store.services()) == {("always", ""), *((f"s{number}", "") for number in range(16, 25))}


def test_services_and_when_they_reported(clock: Clock) -> None:
    store = Store(now=clock)
    for env in ("prod", None, "prod"):
        clock.now += 5
        store.add(read_report(payload(Env=env), ""))
    assert store.services() == {("foreign", "prod"): clock.now, ("foreign", ""): clock.now - 5}


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 1.0), (2, 60.0), (1440, 90.0)])
def test_rates_are_over_the_time_there_is_something_of(clock: Clock, minutes: int, seconds: float) -> None:
    store = Store(now=clock)
    clock.now = clock.now // 60 * 60
    assert store.rows(minutes) == ({}, 0.0)
    store.add(report(clock, 1, minutes_ago=1.5))
    store.add(report(clock, 1, minutes_ago=1))
    store.add(report(clock, 1))
    assert store.rows(minutes)[1] == pytest.approx(seconds)


def test_what_is_returned_is_a_copy(clock: Clock) -> None:
    store = Store(now=clock)
    store.add(report(clock, 1))
    for row in store.rows(1)[0].values():
        row.merge(row)
    assert kept(store) == {1: 1}


def test_threads(clock: Clock) -> None:
    store, body = Store(now=clock), payload(bucket(*(point(Hash=hash_) for hash_ in range(20))))

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
