"""Counting: from any number of threads, bounded, and never a bucket changed while it is sent."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm.core import checkpoint, current
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.edge import Edge
from asyncdsm.core.histogram import ZERO, bin_index
from asyncdsm.core.pathway import Pathway
from asyncdsm.testing import ManualClock
from tests import by_hand

SECOND = 1_000_000_000


def aggregator(clock: ManualClock, max_points: int = 100) -> Aggregator:
    return Aggregator("service", None, bucket_ns=10 * SECOND, max_points=max_points, now=clock)


def record(target: Aggregator, edge: Edge, parent: int = 0, latency: float = 0.5, size: int | None = 10) -> None:
    ns = round(latency * SECOND)
    target.record(target.point(edge, parent), target.now(), ns, 2 * ns, size)


def counted(buckets: list[Bucket]) -> int:
    return sum(bucket.recorded for bucket in buckets)


def test_point_counts_latencies_and_sizes(manual_clock: ManualClock) -> None:
    target, edge = aggregator(manual_clock), Edge("a:b")
    record(target, edge)
    record(target, edge, latency=-1.0, size=None)
    (bucket,) = target.take()
    (counts,) = bucket.points().values()
    assert counts == ({bin_index(0.5): 1, ZERO: 1}, {bin_index(1.0): 1, ZERO: 1}, {bin_index(10): 1})


@given(ns=st.integers(1, 1 << 61))
def test_latency_is_counted_in_the_bin_of_the_protocol(ns: int) -> None:
    target, edge = Aggregator("service", None), Edge("a:b")
    target.record(target.point(edge, 0), 1, ns, 2 * ns, None)
    (counts,) = target.take()[0].points().values()
    assert counts == ({bin_index(ns * 1e-9): 1}, {bin_index(2 * ns * 1e-9): 1}, {})


@pytest.mark.parametrize("times", [1, 2, 30, 1000])
def test_rare_and_frequent_points_are_counted_completely(manual_clock: ManualClock, times: int) -> None:
    target, often, rarely = aggregator(manual_clock), Edge("a:often"), Edge("a:rarely")
    record(target, rarely, latency=2)
    for _ in range(times):
        record(target, often, size=None)
        record(target, often, parent=1)
    record(target, rarely, latency=2)
    (bucket,) = target.take()
    assert bucket.recorded == 2 * times + 2
    assert {(point.edge, point.parent): counts for point, counts in bucket.points().items()} == {
        (often, 0): ({bin_index(0.5): times}, {bin_index(1): times}, {}),
        (often, 1): ({bin_index(0.5): times}, {bin_index(1): times}, {bin_index(10): times}),
        (rarely, 0): ({bin_index(2): 2}, {bin_index(4): 2}, {bin_index(10): 2}),
    }


@given(values=st.lists(st.integers(-5, 1 << 62), max_size=200))
def test_histogram_holds_any_number_of_bins(values: list[int]) -> None:
    target, edge = Aggregator("service", None), Edge("a:b")
    for value in values:
        target.record(target.point(edge, 0), 1, value, value // 3, abs(value))
    found = [counts for bucket in target.take() for counts in bucket.points().values()]
    assert found == [
        (
            Counter(bin_index(value * 1e-9) for value in values),
            Counter(bin_index(value // 3 * 1e-9) for value in values),
            Counter(bin_index(abs(value)) for value in values),
        )
    ] * bool(values)


def test_take_returns_only_finished_buckets(manual_clock: ManualClock) -> None:
    target, edge = aggregator(manual_clock), Edge("a:b")
    record(target, edge)
    start = manual_clock.now_ns - manual_clock.now_ns % (10 * SECOND)
    assert target.take(start + 10 * SECOND - 1) == []
    manual_clock.advance(10)
    record(target, edge)
    (bucket,) = target.take(manual_clock.now_ns)
    assert (bucket.start_ns, bucket.recorded) == (start, 1)
    assert counted(target.take()) == 1


def test_late_checkpoint_is_counted(manual_clock: ManualClock) -> None:
    target, edge = aggregator(manual_clock), Edge("a:b")
    late = manual_clock.now_ns
    manual_clock.advance(60)
    record(target, edge)
    assert counted(target.take()) == 1
    target.record(target.point(edge, 0), late, 1, 1, None)
    assert counted(target.take()) == 1


def test_points_beyond_the_limit_are_dropped_and_counted(manual_clock: ManualClock) -> None:
    target, edge = aggregator(manual_clock, max_points=10), Edge("a:b")
    for parent in range(25):
        record(target, edge, parent)
    stats = target.stats()
    assert (stats.recorded, stats.pending, stats.dropped_by) == (25, 10, {"points": 15})
    assert len(target.take()[0].points()) == 10


def test_idle_points_make_room_for_new_ones(manual_clock: ManualClock) -> None:
    target, edge = aggregator(manual_clock, max_points=10), Edge("a:b")
    for round_ in range(3):
        for parent in range(10):
            record(target, edge, parent + round_ * 10)
        assert counted(target.take()) == 10
        manual_clock.advance(10)
        target.take()
        record(target, edge, 1000 + round_)
        target.take()
    assert target.stats().dropped <= 3
    assert len(edge.points) <= 10


def test_offsets_beyond_the_limit_are_dropped_and_counted(manual_clock: ManualClock) -> None:
    target = aggregator(manual_clock, max_points=10)
    for partition in range(25):
        target.record_offset((f"partition:{partition}",), partition)
    target.record_offset(("partition:9",), 100)
    assert target.stats().offsets_dropped == 15
    (bucket,) = target.take()
    assert bucket.backlogs == {(f"partition:{partition}",): partition for partition in range(9)} | {
        ("partition:9",): 100
    }
    target.record_offset(("partition:20",), 1)
    assert target.stats().offsets_dropped == 15


def test_highest_offset_of_a_bucket_is_kept(manual_clock: ManualClock) -> None:
    target = aggregator(manual_clock)
    for offset in (3, 9, 5):
        target.record_offset(("a:b",), offset)
    assert target.take()[0].backlogs == {("a:b",): 9}


def test_checkpoints_of_many_threads_are_all_counted() -> None:
    target, edge = Aggregator("service", None, bucket_ns=SECOND // 50), Edge("a:b")
    each, threads = 20_000, 8
    taken: list[Bucket] = []
    done = threading.Event()

    def work(parent: int) -> None:
        for _ in range(each):
            record(target, edge, parent)

    def take() -> None:
        while not done.is_set():
            taken.extend(target.take(target.now()))
        taken.extend(target.take())

    workers = [threading.Thread(target=work, args=(parent,)) for parent in range(threads)]
    taker = threading.Thread(target=take)
    for thread in (*workers, taker):
        thread.start()
    for worker in workers:
        worker.join()
    done.set()
    taker.join()
    by_parent = Counter[int]()
    for bucket in taken:
        for point, counts in bucket.points().items():
            by_parent[point.parent] += sum(counts.edge_latency.values())
    assert by_parent == dict.fromkeys(range(threads), each)
    assert target.stats().recorded == each * threads


def test_checkpoints_at_the_end_of_a_bucket_are_counted_where_they_began(manual_clock: ManualClock) -> None:
    """A produce is counted when the client has taken the message, perhaps after others of the next bucket."""
    target, edge = aggregator(manual_clock), Edge("a:b")
    before = manual_clock.now_ns
    manual_clock.advance(10)
    for _ in range(5):
        target.record(target.point(edge, 0), before, 1, 1, 10)
        record(target, edge)
    first, second = target.take()
    for bucket in (first, second):
        assert bucket.recorded == 5
        assert [sum(counts.edge_latency.values()) for counts in bucket.points().values()] == [5]


def test_checkpoint_hashes_once_for_each_parent(manual_clock: ManualClock) -> None:
    target, edge = aggregator(manual_clock), Edge("a:b")
    checkpoint.set_recorder(target)
    try:
        header = Pathway(9, manual_clock.now_ns, manual_clock.now_ns).encode_base64()
        by_hand.consume(edge, header)
        point = edge.points[9]
        for _ in range(3):
            by_hand.consume(edge, header)
        assert edge.points == {9: point}
    finally:
        checkpoint.set_recorder(None)
        current.set_current(None)


@pytest.mark.parametrize("size", ["12", 1.5, float("nan"), -1, b"1", object()])
def test_checkpoint_with_a_malformed_size_counts_without_it(manual_clock: ManualClock, size: Any) -> None:
    target, edge = aggregator(manual_clock), Edge("a:b")
    record(target, edge, size=size)
    record(target, edge)
    stats = target.stats()
    assert (stats.recorded, stats.errors, stats.malformed, stats.dropped) == (2, 0, 1, 0)
    (counts,) = target.take()[0].points().values()
    assert counts.payload_size == {bin_index(10): 1}


NO_OFFSETS: list[Any] = [None, True, 1.0, float("nan"), "7", b"7", -1, -1001, 1 << 63, 10**5000, [], object()]


@pytest.mark.parametrize("offset", NO_OFFSETS, ids=lambda offset: type(offset).__name__)
def test_malformed_offset_is_counted_and_the_others_are_kept(manual_clock: ManualClock, offset: Any) -> None:
    target, tags = aggregator(manual_clock), ("type:kafka_commit",)
    for number in (offset, 5, offset, 3):
        target.record_offset(tags, number)
    assert (target.stats().malformed, target.stats().errors) == (2, 0)
    assert [bucket.backlogs for bucket in target.take()] == [{tags: 5}]


def test_checkpoints_of_a_signal_handler_are_counted(manual_clock: ManualClock) -> None:
    """The handler runs between two instructions, so also in the middle of a count."""
    target, edge = aggregator(manual_clock), Edge("a:b")
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        record(target, edge)

    record(target, edge)
    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        made = 1
        while handled < 200:
            record(target, edge)
            made += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    (bucket,) = target.take()
    (counts,) = bucket.points().values()
    assert target.stats().recorded == bucket.recorded == sum(counts.edge_latency.values()) == made + handled


def test_clock_set_back_delays_no_bucket(manual_clock: ManualClock) -> None:
    target, edge = aggregator(manual_clock), Edge("a:b")
    record(target, edge)
    target.record_offset(("type:kafka_commit",), 7)
    manual_clock.advance(-3600)
    record(target, edge)
    target.record_offset(("type:kafka_commit",), 8)
    (future,) = target.take(manual_clock.now_ns)
    assert (future.recorded, future.backlogs) == (1, {("type:kafka_commit",): 7})
    manual_clock.advance(10)
    (bucket,) = target.take(manual_clock.now_ns)
    assert (bucket.recorded, bucket.backlogs) == (1, {("type:kafka_commit",): 8})


def test_names_of_idle_points_are_freed() -> None:
    """On Python 3.12 an interned text lives as long as the process."""
    before = sys.getallocatedblocks()
    for number in range(40_000):
        Edge("direction:in", f"topic:{'of a kind that no other test has'}-{number}")
    gc.collect()
    assert sys.getallocatedblocks() - before < 20_000  # some thousands of names are remembered
