"""What the options of Prometheus 3 change: the first value of a series, and differences."""

from __future__ import annotations

from time import sleep

import pytest

from tests.brokers.receivers import prometheus_3
from tests.receivers.driver import CONSUMED, QUEUE, serve, wait_for_messages

pytestmark = pytest.mark.receivers
COUNT = 100
INCREASES = [f"sum(increase({CONSUMED}[1m]))", f"histogram_count(sum(increase({QUEUE}[1m])))"]


@pytest.mark.parametrize(
    ("options", "is_seen"), [((), False), (("--enable-feature=created-timestamp-zero-ingestion",), True)]
)
def test_what_a_series_begins_with_is_seen_if_prometheus_is_told_to(options: tuple[str, ...], is_seen: bool) -> None:
    with prometheus_3(*options) as receiver, serve(receiver, 1) as (service,):
        sleep(1.1)  # a start and a first value of one millisecond are one
        service.read(COUNT)
        wait_for_messages(receiver, COUNT)
        for increase in INCREASES:
            found = receiver.value_of(increase)
            assert (found is not None and found >= COUNT) if is_seen else found is None


@pytest.mark.parametrize(("options", "is_taken"), [((), False), (("--enable-feature=otlp-deltatocumulative",), True)])
def test_differences_are_taken_if_prometheus_is_told_to(options: tuple[str, ...], is_taken: bool) -> None:
    with prometheus_3(*options) as fresh:
        receiver = fresh._replace(temporality="delta")
        with serve(receiver, 1) as (service,):
            for _ in range(2):
                service.read(COUNT)
            said = service.end()
        if is_taken:
            wait_for_messages(receiver, 2 * COUNT)
        else:
            assert (
                said == f"Stats(recorded={2 * COUNT}, delivered=0, pending=0, dropped_by={{'rejected': {2 * COUNT}}})"
            )
