"""What happens where Python code, and with it another checkpoint, runs in the middle of one: the same in both cores."""

from __future__ import annotations

import ctypes
import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import repeat
from operator import add
from types import FrameType
from typing import Any

import pytest

from asyncdsm.core import checkpoint, current
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Tallies
from asyncdsm.core.context import encode_header
from asyncdsm.core.counters import Stats
from asyncdsm.core.edge import Edge
from asyncdsm.testing import ManualClock

EDGE = Edge("direction:in", "topic:orders", "type:kafka")


@pytest.fixture(autouse=True)
def nothing_measures_afterwards() -> Iterator[None]:
    yield
    checkpoint.set_recorder(None)
    current.set_current(None)


@pytest.mark.parametrize(
    ("make", "recorded", "malformed"),
    [
        (lambda: checkpoint.consume(EDGE, b"no context", 5), 1, 1),
        (lambda: checkpoint.begin_produce(EDGE), 0, 0),
        (lambda: checkpoint.incoming_pathway(b"no context"), 0, 0),
        (lambda: checkpoint.peek_consume(EDGE, b"no context"), 0, 0),
    ],
    ids=["consume", "begin_produce", "incoming_pathway", "peek_consume"],
)
def test_checkpoint_keeps_the_recorder_that_is_stopped_meanwhile(
    make: Callable[[], Any], recorded: int, malformed: int
) -> None:
    def stop_and_read() -> int:
        checkpoint.set_recorder(None)
        return 1_700_000_000_000_000_000

    aggregator = Aggregator("service", None, now=stop_and_read)
    checkpoint.set_recorder(aggregator)
    assert make() is not None
    assert make() is None
    assert aggregator.stats() == Stats(recorded, 0, recorded, {}, malformed)


def test_checkpoint_keeps_the_recorder_that_is_replaced_meanwhile(manual_clock: ManualClock) -> None:
    second = Aggregator("second", None, now=manual_clock)

    def replace_and_read() -> int:
        checkpoint.set_recorder(second)
        return manual_clock()

    first = Aggregator("first", None, now=replace_and_read)
    checkpoint.set_recorder(first)
    checkpoint.consume(EDGE)
    checkpoint.consume(EDGE)
    assert (first.stats().recorded, second.stats().recorded) == (1, 1)


def test_checkpoint_while_the_counters_are_read_is_in_the_next_ones(manual_clock: ManualClock) -> None:
    aggregator = Aggregator("service", None, now=manual_clock)
    checkpoint.set_recorder(aggregator)
    made = 0

    def consume_meanwhile(frame: FrameType, event: str, _: Any) -> None:
        nonlocal made
        if event == "call" and frame.f_code is Tallies.__new__.__code__:
            checkpoint.consume(EDGE)
            made += 1

    before = sys.getprofile()
    for _ in range(3):
        checkpoint.consume(EDGE)
        sys.setprofile(consume_meanwhile)
        try:
            aggregator.stats()
        finally:
            sys.setprofile(before)
    assert made == 3
    assert aggregator.stats().recorded == 6


def test_checkpoint_of_a_finalizer_is_in_a_bucket_that_is_still_to_be_sent(manual_clock: ManualClock) -> None:
    aggregator = Aggregator("service", None, now=manual_clock)
    checkpoint.set_recorder(aggregator)
    made = sent = 0

    def consume_meanwhile(phase: str, _: Any) -> None:
        nonlocal made
        if phase == "start":
            checkpoint.consume(EDGE)
            made += 1

    threshold = gc.get_threshold()
    gc.callbacks.append(consume_meanwhile)
    try:
        for _ in range(10):
            checkpoint.consume(EDGE)
            made += 1
            gc.set_threshold(1)
            taken = aggregator.buckets.take(None)
            gc.set_threshold(0)
            sent += sum(bucket.recorded for bucket in taken)
    finally:
        gc.callbacks.remove(consume_meanwhile)
        gc.set_threshold(*threshold)
    sent += sum(bucket.recorded for bucket in aggregator.take())
    assert sent == made == aggregator.stats().recorded


def test_checkpoint_of_a_signal_handler_is_in_the_bucket_that_is_begun(manual_clock: ManualClock) -> None:
    """The clock is all in C, and sends the signal: Python looks for signals next where it divides large numbers."""
    zeros = map(ctypes.PyDLL(None)["raise"], repeat(signal.SIGUSR1))
    aggregator = Aggregator("service", None, now=map(add, repeat(manual_clock()), zeros).__next__)

    def consume_meanwhile(*_: Any) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        checkpoint.consume(EDGE)

    checkpoint.set_recorder(aggregator)
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        checkpoint.consume(EDGE)  # its point is there from now on
        aggregator.buckets.take(None)
        signal.signal(signal.SIGUSR1, consume_meanwhile)
        checkpoint.consume(EDGE)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [bucket.recorded for bucket in aggregator.take()] == [2]
    assert aggregator.stats().recorded == 3


def test_signal_handler_counts_and_asks_for_the_counters_while_they_are_read(manual_clock: ManualClock) -> None:
    aggregator = Aggregator("service", None, now=manual_clock)
    checkpoint.set_recorder(aggregator)
    seen = list[Stats]()

    def handle(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is Stats.__new__.__code__:
            sys.setprofile(None)
            checkpoint.consume(EDGE, b"no context")
            seen.append(aggregator.stats())

    def read() -> None:
        sys.setprofile(handle)
        seen.append(aggregator.stats())

    reader = threading.Thread(target=read, daemon=True)  # so that a lock that it waits for ends the test, too
    reader.start()
    reader.join(10)
    assert [(stats.recorded, stats.malformed) for stats in seen] == [(1, 1), (0, 0)]


def test_points_that_are_counted_while_others_are_forgotten_stay(manual_clock: ManualClock) -> None:
    """Another flush, meanwhile, forgets points too."""
    aggregator = Aggregator("service", None, now=manual_clock)
    checkpoint.set_recorder(aggregator)
    edge = Edge("direction:in", "topic:orders", "type:kafka")
    flushes = 0

    def consume_with_parents(parents: range) -> None:
        manual_clock.advance(10)
        for parent in parents:
            checkpoint.consume(edge, encode_header(parent, manual_clock(), manual_clock()))

    def flush_meanwhile() -> None:
        nonlocal flushes
        if flushes < 2:
            flushes += 1
            consume_with_parents(range(5000, 5020))
            aggregator.take(pause=flush_meanwhile)

    consume_with_parents(range(1, 5000))
    aggregator.take(pause=flush_meanwhile)
    assert flushes == 2
    assert sorted(edge.points) == list(range(5000, 5020))
