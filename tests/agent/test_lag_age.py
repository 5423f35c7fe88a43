"""How old the oldest unread message is: from what was produced and seen, in memory, in the file, after a restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.kafka_offsets import KafkaOffsets
from asyncdsm.agent.queries.lag import lags_of
from asyncdsm.agent.queries.lag_over_time import lag_over_time
from asyncdsm.agent.queries.topology import topology, topology_of
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.map.topology import PartitionLag
from tests.agent.payloads import NOW, bucket, payload, point
from tests.agent.stores import KEPT_KINDS, AnyStore, OpenStore
from tests.agent.test_lag import COMMITTED, PRODUCED, WATERMARK, Tags, tags

START = int(NOW) - 20 * 3600
HOUR = 3600
History = Mapping[int, int]
"""Offsets by the start of their bucket."""


def age(committed: int, *, produced: History | None = None, watermarks: History | None = None) -> float | None:
    """Return the age of the oldest unread message in the bucket that starts at 100."""
    backlogs = [(PRODUCED, produced), (WATERMARK, watermarks), (COMMITTED, {0: committed})]
    offsets = KafkaOffsets.of((tags, history.items()) for tags, history in backlogs if history)
    (lag,) = lags_of(offsets, settled=100).partitions
    return lag.seconds


@pytest.mark.parametrize(
    ("committed", "expected"),
    [
        (40, 0.0),  # nothing is unread
        (39, 10.5),  # the last of ten messages of the bucket from 90 to 100, in the middle of its second
        (30, 19.5),
        (29, 20.5),
        (20, 29.5),
        (10, 39.5),
        (9, None),  # the history begins with the bucket in which it came
    ],
)
def test_message_is_as_old_as_its_place_in_its_bucket_says(committed: int, expected: float | None) -> None:
    assert age(committed, produced={60: 9, 70: 19, 80: 29, 90: 39}) == expected


def test_message_after_a_pause_of_the_producers_is_not_as_old_as_the_pause() -> None:
    assert age(10, produced={0: 9, 90: 19}) == 19.5


def test_message_may_have_come_at_any_time_while_no_consumer_looked() -> None:
    assert age(10, watermarks={0: 10, 90: 20}) == 110 - (10 + 0.05 * 90)


def test_producers_tell_better_than_a_consumer_that_looked_away() -> None:
    assert age(10, watermarks={0: 10, 90: 20}, produced={0: 9, 90: 19}) == 19.5


def test_consumer_that_saw_a_message_of_unfollowed_producers_first_is_believed() -> None:
    assert age(10, watermarks={40: 10, 50: 20}, produced={0: 9, 90: 29}) == 59.5


def test_source_that_saw_a_message_first_and_does_not_reach_back_leaves_the_age_unknown() -> None:
    assert age(10, watermarks={40: 20}, produced={0: 9, 90: 29}) is None


@pytest.mark.parametrize("produced", [{90: 1000}, {90: 1000, 100: 1100}])
def test_age_is_of_the_moment_of_the_count_whether_or_not_producers_have_reported(produced: History) -> None:
    """At 10 messages a second, the consumer says in the middle of the bucket that it is 12 messages behind."""
    found = {PRODUCED: produced, WATERMARK: {90: 1000, 100: 1060}, COMMITTED: {90: 990, 100: 1048}}
    offsets = KafkaOffsets.of((tags, history.items()) for tags, history in found.items())
    (lag,) = lags_of(offsets, settled=90).partitions
    assert lag.behind == 12
    assert lag.seconds == pytest.approx(1.2, abs=1.0)


def test_topic_that_was_created_again_has_no_messages_of_before() -> None:
    assert age(5, produced={0: 900, 10: 1000, 80: 9, 90: 19}) == 110 - (80 + 5.5)


def test_acknowledgements_in_another_order_are_no_new_topic() -> None:
    assert age(50, produced={60: 49, 70: 99, 80: 98, 90: 120}) == 110 - (70 + 0.1)


class Clock:
    """A store whose time the test sets."""

    def __init__(self, open_store: OpenStore) -> None:
        self.now: float = START
        self.open_store = open_store
        self.store: AnyStore = self.open()

    def open(self) -> AnyStore:
        """Open the store, again after it was closed."""
        return self.open_store(now=lambda: self.now)

    def report(self, start: int, offsets: Mapping[Tags, int]) -> None:
        """Take a payload of one bucket, and let the time be its end."""
        self.report_all({start: offsets})

    def report_all(self, buckets: Mapping[int, Mapping[Tags, int]]) -> None:
        """Take a payload of some buckets, each by its start, and let the time be the end of the last one."""
        body = payload(
            *(
                bucket(
                    Start=start * 10**9, Backlogs=[{"Tags": tags, "Value": value} for tags, value in offsets.items()]
                )
                for start, offsets in buckets.items()
            )
        )
        self.now = max(buckets) + 10.0
        self.store.add(read_report(body, ""))

    def produce(self, starts: Iterable[int]) -> None:
        """Report ten messages for each bucket since `START`, the first of which has the offset 0."""
        self.report_all({start: {PRODUCED: start - START + 9} for start in starts})

    def lag(self) -> PartitionLag:
        """Return the lag that the map shows."""
        (lag,) = topology(self.store, 10).lag
        return lag


@pytest.fixture
def clock(open_store: OpenStore) -> Clock:
    return Clock(open_store)


def with_dead_group(clock: Clock, seconds: int) -> Clock:
    """Let a group read the first hundred messages, and none of the `seconds` ones since."""
    clock.produce(range(START, START + 100, 10))
    clock.report(START + 90, {PRODUCED: 99, COMMITTED: 100})
    end = START + 100 + seconds
    for first in range(START + 100, end, 600):
        clock.produce(range(first, min(first + 600, end), 10))
        clock.store.flush()
    clock.now += 20.0  # what nobody reports has been reported by now
    clock.store.flush()
    return clock


@pytest.mark.parametrize("seconds", [60, HOUR, 6 * HOUR])
def test_age_grows_with_the_time_since_a_group_stopped(clock: Clock, seconds: int) -> None:
    with_dead_group(clock, seconds)
    assert (clock.lag().behind, clock.lag().seconds) == (seconds, seconds - 0.5)


@pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
def test_restarted_agent_knows_age_and_trend(clock: Clock) -> None:
    with_dead_group(clock, HOUR)
    clock.store.close()
    clock.store = clock.open()
    assert (clock.lag().seconds, clock.lag().trend) == (HOUR - 0.5, "falling behind")
    clock.store.close()


@pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
def test_age_is_known_of_what_is_older_than_a_day(clock: Clock) -> None:
    """A file keeps minutes of it, and ClickHouse everything."""
    with_dead_group(clock, HOUR)
    clock.report(START + 25 * HOUR, {PRODUCED: HOUR + 200})
    clock.now += 20.0
    clock.store.flush()
    if isinstance(clock.store, SQLiteStore):
        assert len(clock.store.offsets(TimeRange(START, clock.now))) < HOUR // 10
    seconds = clock.lag().seconds
    assert seconds is not None
    assert seconds == pytest.approx(25 * HOUR + 10 - 100, abs=60)
    clock.store.close()


def test_age_of_a_past_range_is_that_of_its_end(clock: Clock) -> None:
    with_dead_group(clock, HOUR)
    past = TimeRange(START, START + 100 + 1800)
    (lag,) = topology_of(clock.store, past).lag
    assert (lag.behind, lag.seconds) == (1800, 1799.5)


def test_age_over_time_reaches_back_to_before_the_range(clock: Clock) -> None:
    with_dead_group(clock, HOUR)
    end = START + 100 + HOUR
    (series,) = lag_over_time(clock.store, TimeRange(end - 60, end), "orders", None).series
    assert [(each.behind, each.seconds) for each in series.points] == [
        (HOUR - left, HOUR - left - 0.5) for left in range(50, -10, -10)
    ]


def test_age_over_time_of_a_group_that_reads_slowly_is_told_from_few_offsets(clock: Clock) -> None:
    with_dead_group(clock, 6 * HOUR)
    end = START + 100 + 6 * HOUR
    for start in range(end - 60, end, 10):
        clock.report(start, {PRODUCED: start - START + 9, COMMITTED: 5000 + (start - end) * 10})
    clock.now = end + 30.0
    clock.store.flush()
    (series,) = lag_over_time(clock.store, TimeRange(end - 60, end), "orders", None).series
    seconds = [each.seconds or 0.0 for each in series.points]
    expected = [end - left - START - 5000 + (left + 10) * 10 for left in range(50, -10, -10)]
    assert seconds == pytest.approx(expected, abs=6 * HOUR / 200 + 10)


def test_group_that_has_read_everything_has_the_age_0(clock: Clock) -> None:
    clock.report(START, {PRODUCED: 9, COMMITTED: 10})
    clock.now += 30
    assert (clock.lag().behind, clock.lag().seconds, clock.lag().trend) == (0, 0.0, "steady")


def test_edge_has_the_oldest_age_and_the_sum_of_its_partitions(clock: Clock) -> None:
    edge = point(EdgeTags=["type:kafka", "topic:orders", "direction:in", "group:g"])
    for start in range(START, START + 120, 10):
        offsets = {
            tags("kafka_produce"): start - START + 9,
            tags("kafka_commit", "g"): 10,
            tags("kafka_produce", partition=1): start - START + 9,
            tags("kafka_commit", "g", partition=1): start - START,
        }
        backlogs = [{"Tags": tags, "Value": value} for tags, value in offsets.items()]
        body = payload({"Start": start * 10**9, "Duration": 10**10, "Stats": [edge], "Backlogs": backlogs})
        clock.now = start + 10.0
        clock.store.add(read_report(body, ""))
    (shown,) = topology(clock.store, 10).edges
    assert (shown.lag, shown.lag_seconds, shown.lag_trend, shown.lag_done_in) == (120, 109.5, "falling behind", None)
