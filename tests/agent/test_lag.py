"""How far behind a group is: from what was produced, committed, and said by the brokers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.kafka_offsets import KafkaOffsets
from asyncdsm.agent.queries.lag import current_lags, lags_of
from asyncdsm.agent.queries.lag_over_time import lag_over_time
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.queries.topology import topology, topology_of
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.map.topology import PartitionLag
from tests.agent.payloads import NOW, bucket, payload, point
from tests.agent.stores import AnyStore, OpenStore

Tags = tuple[str, ...]


def tags(type_: str, group: str | None = None, topic: str = "orders", partition: int = 0, cluster: str = "") -> Tags:
    parts = [f"type:{type_}", f"topic:{topic}", f"partition:{partition}"]
    parts += [f"consumer_group:{group}"] if group else []
    parts += [f"kafka_cluster_id:{cluster}"] if cluster else []
    return tuple(sorted(parts))


PRODUCED, COMMITTED, WATERMARK = tags("kafka_produce"), tags("kafka_commit", "g"), tags("kafka_high_watermark")


def lags(backlogs: Mapping[Tags, int]) -> list[PartitionLag]:
    """Return the lags of offsets that all belong to one bucket."""
    return lags_of(KafkaOffsets.of((tags, [(0, value)]) for tags, value in backlogs.items()), settled=0).partitions


def behind(backlogs: Mapping[Tags, int]) -> list[int]:
    return [partition.behind for partition in lags(backlogs)]


@pytest.mark.parametrize(
    ("produced", "committed", "expected"),
    [
        (99, 100, 0),  # the last offset is 99, the next to read is 100
        (99, 99, 1),
        (99, 0, 100),
        (0, 0, 1),
        (99, 150, 0),  # the commit was heard of before the acknowledgement
        (2**63 - 1, 0, 2**63),
    ],
)
def test_lag_is_produced_minus_committed(produced: int, committed: int, expected: int) -> None:
    assert behind({PRODUCED: produced, COMMITTED: committed}) == [expected]


@pytest.mark.parametrize(("produced", "watermark", "expected"), [(99, 100, 10), (99, 120, 30), (120, 100, 10)])
def test_watermark_of_the_consumer_is_preferred(produced: int, watermark: int, expected: int) -> None:
    assert behind({PRODUCED: produced, WATERMARK: watermark, COMMITTED: 90}) == [expected]
    assert behind({COMMITTED: 90, WATERMARK: watermark}) == [max(0, watermark - 90)]


def test_lag_of_one_partition_has_all_fields() -> None:
    assert to_builtins(lags({PRODUCED: 9, COMMITTED: 4})) == [
        {
            "group": "g",
            "topic": "orders",
            "partition": "0",
            "cluster_id": None,
            "behind": 6,
            "unit": "messages",
            "seconds": None,
            "trend": None,
            "done_in": None,
        }
    ]


def test_commit_without_known_end_has_no_lag() -> None:
    assert lags({COMMITTED: 5}) == []
    assert lags({PRODUCED: 5}) == []
    assert lags({tags("rabbitmq_something"): 5, ("no", "names"): 1, (): 0}) == []


@pytest.mark.parametrize("none_yet", [-1, -1001])
def test_negative_offset_counts_as_none(none_yet: int) -> None:
    assert lags({PRODUCED: 5, COMMITTED: none_yet}) == []
    assert lags({PRODUCED: none_yet, COMMITTED: 5}) == []


def test_clusters_groups_and_partitions_are_kept_apart() -> None:
    backlogs = {
        tags("kafka_produce", cluster="a"): 99,
        tags("kafka_produce", cluster="b"): 9,
        tags("kafka_produce", cluster="a", partition=1): 49,
        tags("kafka_commit", "g", cluster="a"): 90,
        tags("kafka_commit", "g", cluster="b"): 9,
        tags("kafka_commit", "h", cluster="a"): 0,
        tags("kafka_commit", "g", cluster="a", partition=1): 50,
        tags("kafka_commit", "g", cluster="c"): 5,
    }
    found = {
        (partition.group, partition.cluster_id, partition.partition): partition.behind for partition in lags(backlogs)
    }
    assert found == {("g", "a", "0"): 10, ("g", "a", "1"): 0, ("g", "b", "0"): 1, ("h", "a", "0"): 100}


def test_offsets_without_a_cluster_are_of_the_only_cluster_that_has_the_topic() -> None:
    """So a tracer's first offsets, which it reports before it knows the cluster, leave no lag of their own."""
    unknown = {PRODUCED: 10, COMMITTED: 5}
    known = {tags("kafka_produce", cluster="a"): 99, tags("kafka_commit", "g", cluster="a"): 90}
    (lag,) = lags({**unknown, **known})
    assert (lag.cluster_id, lag.behind) == ("a", 10)
    (lag,) = lags({PRODUCED: 99, tags("kafka_commit", "g", cluster="a"): 90})
    assert (lag.cluster_id, lag.behind) == ("a", 10)


def test_offsets_without_a_cluster_stay_apart_where_two_clusters_have_the_topic() -> None:
    known = {
        tags(type_, group, cluster=cluster): 9
        for cluster in "ab"
        for type_, group in (("kafka_produce", None), ("kafka_commit", "g"))
    }
    found = {lag.cluster_id: lag.behind for lag in lags({PRODUCED: 99, COMMITTED: 90, **known})}
    assert found == {None: 10, "a": 1, "b": 1}


def test_edge_has_the_lag_of_its_own_cluster() -> None:
    backlogs = [
        {"Tags": tags(type_, group, cluster=cluster), "Value": value}
        for cluster, ahead in (("a", 10), ("b", 20))
        for type_, group, value in (("kafka_produce", None, ahead - 1), ("kafka_commit", "g", 0))
    ]
    edges = [
        point(EdgeTags=["type:kafka", "topic:orders", "direction:in", "group:g", f"kafka_cluster_id:{cluster}"])
        for cluster in "abc"
    ]
    store = SQLiteStore(now=lambda: NOW)
    store.add(read_report(payload(bucket(*edges, Backlogs=backlogs)), ""))
    assert [edge.lag for edge in topology(store, 10).edges] == [10, 20, None]


def test_edge_without_a_cluster_has_the_lag_of_the_only_cluster_of_its_topic() -> None:
    backlogs = [
        {"Tags": tags("kafka_produce", cluster="a"), "Value": 99},
        {"Tags": COMMITTED, "Value": 90},
    ]
    names = ["type:kafka", "topic:orders", "direction:in", "group:g"]
    edges = [point(EdgeTags=names), point(EdgeTags=[*names, "kafka_cluster_id:a"])]
    store = SQLiteStore(now=lambda: NOW)
    store.add(read_report(payload(bucket(*edges, Backlogs=backlogs)), ""))
    assert [(edge.cluster, edge.lag) for edge in topology(store, 10).edges] == [("a", 10), ("a", 10)]


TYPES = st.sampled_from(["kafka_produce", "kafka_commit", "kafka_high_watermark"])
KEYS = st.builds(tags, TYPES, st.sampled_from(["g", "h"]), partition=st.integers(0, 1), cluster=st.sampled_from("ab"))


@given(backlogs=st.dictionaries(KEYS, st.integers(-(2**63), 2**64 - 1)))
def test_lag_is_never_below_zero(backlogs: dict[Tags, int]) -> None:
    assert all(count >= 0 for count in behind(backlogs))


RATE = 20
"""Messages a second."""
START = int(NOW) - 200


class Clock:
    """A store whose time the test sets, and services that report their buckets when the test says so."""

    def __init__(self, open_store: OpenStore = SQLiteStore) -> None:
        self.now: float = NOW
        self.store: AnyStore = open_store(now=lambda: self.now)

    def report(self, start: int, offsets: Mapping[Tags, int]) -> None:
        """Take a payload with one bucket of offsets."""
        backlogs = [{"Tags": tags, "Value": value} for tags, value in offsets.items()]
        body = payload({"Start": start * 10**9, "Duration": 10**10, "Stats": [], "Backlogs": backlogs})
        self.store.add(read_report(body, ""))

    def behind(self) -> list[int]:
        """Return the lag that the map shows."""
        return [lag.behind for lag in topology(self.store, 10).lag]


@pytest.fixture
def clock(open_store: OpenStore) -> Clock:
    return Clock(open_store)


def produced_by(moment: int) -> int:
    """Return the offset of the last message that was produced before a moment, at `RATE` from `START` on."""
    return (moment - START) * RATE - 1


def test_group_that_keeps_up_is_not_behind_whichever_service_reports_first() -> None:
    for producer_delay, consumer_delay in ((11, 19), (19, 11), (10, 20)):
        clock = Clock()
        seen = list[int]()
        for second in range(START + 40, START + 160):
            clock.now = float(second)
            if (second - producer_delay) % 10 == 0:
                start = second - producer_delay
                clock.report(start, {PRODUCED: produced_by(start + 10)})
            if (second - consumer_delay) % 10 == 0:
                start = second - consumer_delay
                clock.report(start, {COMMITTED: produced_by(start + 10) - 9})
            if second > START + 80:
                seen += clock.behind()
        assert seen
        assert set(seen) == {10}, (producer_delay, consumer_delay)


def test_group_that_is_behind_has_lag(clock: Clock) -> None:
    for start in range(START, START + 100, 10):
        clock.now = start + 21.0
        clock.report(start, {PRODUCED: produced_by(start + 10), COMMITTED: max(0, produced_by(start + 10) - 5_000)})
    assert clock.behind() == [min(5_001, produced_by(START + 100) + 1)]


def test_lag_of_a_group_that_died_grows(clock: Clock) -> None:
    seen = list[int]()
    for start in range(START, START + 150, 10):
        clock.now = start + 15.0
        clock.report(start, {PRODUCED: produced_by(start + 10)})
        if start < START + 50:
            clock.report(start, {COMMITTED: produced_by(start + 10) + 1, WATERMARK: produced_by(start + 10) + 1})
        seen.append(clock.behind()[0])
    assert seen[:7] == [0] * 7  # the commit may still be under way
    assert seen[-1] >= 7 * 10 * RATE
    assert seen == sorted(seen)


def test_group_that_caught_up_after_production_stopped_is_not_behind(clock: Clock) -> None:
    clock.report(START, {PRODUCED: 999, COMMITTED: 100})
    for start in (START + 10, START + 20):
        clock.report(start, {COMMITTED: 1_000})
    clock.now = START + 60.0
    assert clock.behind() == [0]


def test_watermark_and_commit_of_one_payload_count_when_producer_is_ahead(clock: Clock) -> None:
    clock.now = START + 41.0
    for start in (START, START + 10, START + 20):
        clock.report(start, {WATERMARK: produced_by(start + 10) + 1, COMMITTED: produced_by(start + 10) + 1})
    clock.report(START + 30, {PRODUCED: produced_by(START + 40)})
    assert clock.behind() == [0]


def test_old_watermark_of_a_paused_consumer_does_not_hide_lag(clock: Clock) -> None:
    for start in range(START, START + 100, 10):
        clock.report(start, {PRODUCED: produced_by(start + 10), WATERMARK: 200, COMMITTED: 200})
    clock.now = START + 115.0
    assert clock.behind() == [produced_by(START + 90) + 1 - 200]


def test_recreated_topic_counts_from_zero(clock: Clock) -> None:
    clock.report(START, {PRODUCED: 9_999, COMMITTED: 10_000})
    clock.report(START + 50, {PRODUCED: 49, COMMITTED: 40})
    clock.now = START + 70.0
    assert clock.behind() == [10]


def test_lag_over_time_ends_with_the_last_bucket_of_both_sides(clock: Clock) -> None:
    for start in range(START, START + 60, 10):
        clock.report(start, {PRODUCED: produced_by(start + 10)})
        if start < START + 50:
            clock.report(start, {COMMITTED: produced_by(start + 10) + 1})
    clock.now = START + 61.0
    (series,) = lag_over_time(clock.store, TimeRange(START, NOW), "orders", None).series
    assert [point.behind for point in series.points] == [0] * 5


def test_lag_of_a_past_range_is_that_of_its_last_bucket(clock: Clock) -> None:
    for start in range(START, START + 60, 10):
        clock.report(start, {PRODUCED: produced_by(start + 10), COMMITTED: 100})
    past = topology_of(clock.store, TimeRange(START, START + 30.0))
    assert [lag.behind for lag in past.lag] == [produced_by(START + 30) + 1 - 100]


def test_offsets_of_recent_buckets_are_bounded() -> None:
    clock = Clock()
    for start in range(START - 3_000, START, 10):
        clock.report(start, {PRODUCED: start})
    ((_, recent),) = clock.store.recent_offsets()
    assert len(recent) == 13


def test_lags_of_a_moment_are_computed_once_for_all_who_ask() -> None:
    store = SQLiteStore(now=lambda: NOW)
    report = payload(bucket(Backlogs=[{"Tags": PRODUCED, "Value": 9}, {"Tags": COMMITTED, "Value": 4}]))
    store.add(read_report(report, ""))
    found = current_lags(store, last_minutes(store, 10))
    assert current_lags(store, last_minutes(store, 60)) is found
    assert current_lags(store, TimeRange(NOW - 600, NOW + 5)).partitions == found.partitions
    assert current_lags(store, TimeRange(NOW - 600, NOW - 300)).partitions == []
    store.add(read_report(report, ""))
    assert current_lags(store, last_minutes(store, 10)) is not found


def test_lag_of_an_hour_to_come_is_forgotten_once_the_clock_is_right(clock: Clock) -> None:
    produced, committed = (tags(kind, "g") for kind in ("kafka_produce", "kafka_commit"))
    for ahead, behind in ((0, 10), (3_600, 500), (0, 20), (0, 30)):
        clock.now += 60
        start = int(clock.now) // 10 * 10 - 40 + ahead
        clock.now += ahead
        clock.report(start, {produced: 1_000, committed: 1_001 - behind})
        assert clock.behind() == [behind]
        clock.now -= ahead
