"""How old unread messages are in `streams.lag()`: from the ends that this process saw."""

from __future__ import annotations

import time
from typing import cast

import anyio
import pytest

from asyncdsm import DataStreams, Lag, Settings
from asyncdsm.core import lag
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.lag_history import MOST_ENDS, ConsumedPartition, EndHistory
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.delivery.high_watermarks import HighWatermarkRecorder

PARTITION = ConsumedPartition("g", "orders", 0, "c")
SECOND = 10**9
START = 1_700_000_000 * SECOND


class Watched:
    """A partition that grows by ten messages every ten seconds, whose end is noted each time."""

    def __init__(self) -> None:
        self.history: EndHistory = EndHistory()
        self.end: int = 0
        self.now: int = START

    def look(self, position: int, grows_by: int = 10) -> None:
        """Note the end, as a bucket ends."""
        self.now += 10 * SECOND
        self.end += grows_by
        self.history.note_end(PARTITION, self.end, position, self.now)
        self.history.forget_others()

    def age(self, position: int) -> float | None:
        """Return the age of the message at a position."""
        return self.history.find_age(PARTITION, position, self.end, self.now, self.now)


def test_message_is_as_old_as_the_time_in_which_it_came() -> None:
    watched = Watched()
    for _ in range(4):
        watched.look(position=10)
    assert [watched.age(position) for position in (10, 20, 30, 39)] == [29.5, 19.5, 9.5, 0.5]


def test_message_from_before_the_first_look_has_no_age() -> None:
    watched = Watched()
    assert watched.age(5) is None
    watched.look(position=5)
    assert watched.age(5) is None


def test_message_since_the_last_look_is_younger_than_that() -> None:
    watched = Watched()
    watched.look(position=10)
    later = watched.now + 4 * SECOND
    assert watched.history.find_age(PARTITION, 10, 12, later, later) == 3.0


def test_pause_of_the_producers_does_not_make_messages_older() -> None:
    watched = Watched()
    for grows_by in (10, 0, 0, 0, 10):
        watched.look(position=10, grows_by=grows_by)
    assert watched.age(10) == 9.5


def test_consumer_that_keeps_up_needs_one_end() -> None:
    watched = Watched()
    for _ in range(1_000):
        watched.look(position=watched.end + 10)
    assert watched.age(watched.end) is None
    watched.look(position=watched.end)
    assert watched.age(watched.end - 10) == 9.5
    assert watched.age(watched.end - 11) is None  # forgotten: it was read


def test_history_of_a_long_lag_is_bounded_and_stays_exact_enough() -> None:
    watched = Watched()
    for _ in range(5_000):
        watched.look(position=10)
    assert watched.age(10) == pytest.approx(4_999 * 10, rel=2 / MOST_ENDS)
    assert watched.age(watched.end // 2) == pytest.approx(2_500 * 10, rel=2 / MOST_ENDS)


def test_partition_that_is_no_longer_read_is_forgotten() -> None:
    watched = Watched()
    watched.look(position=10)
    watched.history.keep(PARTITION)
    watched.history.forget_others()
    watched.end = 20
    assert watched.age(10) is not None
    watched.history.forget_others()
    assert watched.age(10) is None


def test_topic_that_was_created_again_has_no_ends_of_before() -> None:
    watched = Watched()
    for grows_by in (100, 100, -190):
        watched.look(position=5, grows_by=grows_by)
    assert watched.age(5) is None


class Consumer:
    """A consumer of a partition that grows by a message each millisecond. It keeps up until it stops."""

    def __init__(self) -> None:
        self.began: int = time.time_ns()
        self.stopped_at: int | None = None

    def end(self) -> int:
        """Return the end of the partition."""
        return (time.time_ns() - self.began) // 10**6

    def stop(self) -> None:
        """Read no more."""
        self.stopped_at = self.end()

    def lags(self) -> list[Lag]:
        """Return how far it is behind, and a queue's depth."""
        end = self.end()
        position = end if self.stopped_at is None else self.stopped_at
        return [Lag("g", "stopped", 0, end - position, end=end), Lag(None, "queue", None, 3, "ready")]


def lags_of(streams: DataStreams) -> list[Lag]:
    return [each for each in streams.lag() if each.topic in {"stopped", "queue"}]


async def test_streams_lag_tells_how_old_the_first_unread_message_is() -> None:
    consumer = Consumer()
    lag.add_lag_source(consumer)
    async with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        assert [each.seconds for each in lags_of(streams)] == [0.0, None]
        await streams.flush()
        consumer.stop()
        for _ in range(3):
            await anyio.sleep(0.05)
            await streams.flush()
        assert consumer.stopped_at is not None
        youngest = consumer.end() - consumer.stopped_at
        stopped, queue = lags_of(streams)
        oldest = consumer.end() - consumer.stopped_at
    assert queue.seconds is None
    assert stopped.seconds is not None
    assert youngest - 3 <= 1000 * stopped.seconds <= oldest + 3


async def test_streams_lag_of_what_was_unread_before_the_process_looked_has_no_age() -> None:
    consumer = Consumer()
    consumer.stop()
    lag.add_lag_source(consumer)
    async with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        for _ in range(2):
            await anyio.sleep(0.01)
            await streams.flush()
        assert [each.seconds for each in lags_of(streams)] == [None, None]


class Several:
    """A client with these lags."""

    def __init__(self, *lags: Lag) -> None:
        self.found = lags

    def lags(self) -> tuple[Lag, ...]:
        return self.found


async def test_of_several_clients_of_one_queue_the_largest_lag_is_told() -> None:
    queue, nothing = Lag("workers", "several", None, 9, type="redis"), cast(int, None)
    sources = [
        Several(queue, queue._replace(type="nats", behind=1)),
        Several(queue._replace(behind=12, seen_ns=1), queue._replace(partition=0), queue._replace(behind=nothing)),
        Several(queue._replace(behind=11)),
    ]
    for source in sources:
        lag.add_lag_source(source)
    reported = list[Exception]()
    found = [each for each in lag.largest_lags(reported.append) if each.topic == "several"]
    assert any("'NoneType' and 'int'" in str(error) for error in reported)
    assert {(each.type, each.partition, each.behind) for each in found} == {
        ("redis", None, 12),
        ("nats", None, 1),
        ("redis", 0, 9),
    }
    assert len(found) == 3
    recorder = HighWatermarkRecorder(aggregator := Aggregator("s", ""))
    assert [each for each in await recorder.read_lags() if each.topic == "several"] == found
    assert aggregator.stats().errors == len(reported)


async def test_streams_lag_tells_one_queue_of_several_clients_once() -> None:
    queue = Lag("workers", "twice", None, 9, type="redis")
    sources = [Several(queue), Several(queue._replace(behind=12))]
    for source in sources:
        lag.add_lag_source(source)
    async with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        assert [(each.behind, each.type) for each in streams.lag() if each.topic == "twice"] == [(12, "redis")]
