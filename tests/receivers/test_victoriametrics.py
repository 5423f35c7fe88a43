"""What VictoriaMetrics makes of exponential histograms: each bucket is a series of its own, from when it is met on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep

import pytest

from tests.brokers.receivers import Receiver, victoriametrics
from tests.receivers.driver import CONSUMED, QUEUE, serve

pytestmark = pytest.mark.receivers
FAST, SLOW = 0.01, 100.0
"""So far apart that the process makes its buckets twice as wide when it has met both."""
MANY, FEW = 500, 20
TOTAL = 2 * MANY + FEW


@contextmanager
def receiver_of(temporality: str) -> Iterator[Receiver]:
    """A VictoriaMetrics to which a service has told of fast messages twice, and of a few slow ones in between."""
    with victoriametrics() as fresh:
        receiver = fresh._replace(temporality=temporality)
        with serve(receiver, 1) as (service,):
            for count, seconds in ((MANY, FAST), (FEW, SLOW), (MANY, FAST)):
                service.read(count, seconds)
                sleep(1.1)
            service.end()
        yield receiver


def test_differences_are_exact_over_any_time() -> None:
    with receiver_of("delta") as receiver:
        for name in (CONSUMED, f"{QUEUE}_count", f"{QUEUE}_bucket"):
            assert receiver.value_of(f"sum(sum_over_time({name}[1m]))") == TOTAL
        recent = f"sum by (vmrange) (sum_over_time({QUEUE}_bucket[1m]))"
        assert receiver.value_of(f"histogram_quantile(0.5, {recent})") == pytest.approx(FAST, rel=0.02)
        assert receiver.value_of(f"histogram_quantile(0.99, {recent})") == pytest.approx(SLOW, rel=0.02)


def test_increase_of_all_that_was_counted_does_not_see_what_a_series_begins_with() -> None:
    with receiver_of("cumulative") as receiver:
        for name in (CONSUMED, f"{QUEUE}_count"):
            assert receiver.value_of(f"sum({name})") == TOTAL
            assert receiver.value_of(f"sum(increase({name}[1m]))") == TOTAL - MANY
        assert receiver.value_of(f"sum({QUEUE}_bucket)") == TOTAL + MANY, "the narrow bucket is there for a while"
        recent = f"sum by (vmrange) (increase({QUEUE}_bucket[1m]))"
        assert receiver.value_of(f"histogram_quantile(0.99, {recent})") == pytest.approx(FAST, rel=0.02)
