"""Services and receivers that end and start again: nothing is lost, and no rate is negative or counts twice."""

from __future__ import annotations

from time import sleep, time

import pytest

from tests.brokers.receivers import NATIVE, Receiver
from tests.receivers.driver import CONSUMED, Service, serve, wait_for_messages

pytestmark = pytest.mark.receivers
COUNT = 100


def read_times(service: Service, times: int) -> None:
    """Let it read messages several times, so slowly that no two values of a series are of one second."""
    for _ in range(times):
        service.read(COUNT)
        sleep(1.1)


def check_increase(receiver: Receiver, since: float, count: int) -> None:
    """Check what a receiver says has come since then: never less than nothing, and all in all so many messages.

    Prometheus estimates it: it does not see the first value of a series, and extends what it sees to the whole time.
    """
    for metric in (CONSUMED, "asyncdsm_queue_duration_seconds_count"):
        if receiver.dialect is NATIVE and metric != CONSUMED:
            continue
        (series,) = receiver.ask(receiver.dialect.increase % (metric, 10), start=since, end=time(), step=0.5)
        assert all(float(value) >= 0 for _, value in series["values"])
        found = receiver.value_of(receiver.dialect.increase % (metric, round(time() - since + 5)))
        if receiver.dialect is NATIVE:
            assert count / 2 <= (found or 0) <= count * 1.1
        else:
            assert found == count


def test_service_that_is_started_again_counts_on(receiver: Receiver) -> None:
    since = time()
    for seed in (1, 2, 3):
        with serve(receiver, seed) as (service,):
            read_times(service, 3)
            assert service.end().startswith(f"Stats(recorded={3 * COUNT}, delivered={3 * COUNT}, pending=0")
    wait_for_messages(receiver, 9 * COUNT)
    check_increase(receiver, since, 9 * COUNT)


def test_measuring_that_is_started_again_in_one_process_is_a_reset(fresh_receiver: Receiver) -> None:
    since = time()
    with serve(fresh_receiver, 1) as (service,):
        read_times(service, 3)
        wait_for_messages(fresh_receiver, 3 * COUNT)
        service.tell("again")
        read_times(service, 2)
        service.end()
    check_increase(fresh_receiver, since, 5 * COUNT)


def test_receiver_that_is_killed_misses_nothing(fresh_receiver: Receiver) -> None:
    with serve(fresh_receiver, 1, 2) as services:
        for _ in range(3):
            for service in services:
                service.read(COUNT)
            fresh_receiver.server.kill()
            for service in services:
                service.read(COUNT)
            fresh_receiver.server.start()
            sleep(1.1)
        said = [service.end() for service in services]
    assert all(each.startswith(f"Stats(recorded={6 * COUNT}, delivered={6 * COUNT}, pending=0") for each in said)
    wait_for_messages(fresh_receiver, 12 * COUNT)
