"""The plain core's buckets, where a signal comes in the middle of a count."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

import pytest

from asyncdsm.core.plain.bucket import Bucket
from asyncdsm.core.plain.buckets import Buckets, Tallies
from asyncdsm.core.plain.edge import Edge, Point

NOW, SECOND = 1_700_000_040_000_000_000, 1_000_000_000


def run_in_thread(work: Any) -> None:
    """Run it in a thread, so that a lock that it waits for ends the test, too."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for itself"


@pytest.mark.parametrize("interrupted", [Bucket.count, Buckets._bucket_at], ids=["count", "bucket_at"])
def test_signal_in_the_middle_of_a_count_may_count_ask_and_take(interrupted: Any) -> None:
    buckets, edge = Buckets(10 * SECOND, 100), Edge("direction:in", "topic:orders", "type:kafka")
    point = Point(edge, 1, 0)
    buckets.admit(point)
    seen = list[Any]()

    def handle(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is interrupted.__code__:
            sys.setprofile(None)
            buckets.count_checkpoint(point, NOW, SECOND, SECOND, 5)
            seen.extend([buckets.take_tallies(), buckets.take(None)])

    def count() -> None:
        sys.setprofile(handle)
        buckets.count_checkpoint(point, NOW, SECOND, SECOND, 5)

    run_in_thread(count)
    assert seen == [Tallies(0, 0, 0, 0), []]
    assert buckets.take_tallies() == Tallies(2, 0, 0, 0)
    assert [bucket.recorded for bucket in buckets.take(None)] == [2]
    assert buckets.take_tallies() == Tallies(0, 0, 0, 0)
