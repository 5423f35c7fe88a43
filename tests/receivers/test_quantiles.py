"""Two processes, and what PromQL says of them: counts are exact, and quantiles within 2 % of exact ones."""

from __future__ import annotations

from collections.abc import Iterator
from time import sleep

import numpy as np
import pytest

from tests.brokers.receivers import NATIVE, Receiver
from tests.receivers.conftest import KINDS
from tests.receivers.driver import CONSUMED, QUEUE, Service, serve, wait_for_messages

pytestmark = pytest.mark.receivers
COUNT, ROUNDS = 1000, 3
FRACTIONS = (0.5, 0.9, 0.99)
TOLERANCE = 0.02
RECENT = [kind for kind in KINDS if kind != "victoriametrics"]
"""`test_victoriametrics.py` shows why the other one cannot tell quantiles of the last minute."""
LABELS = {
    "service_name": "billing",
    "deployment_environment_name": "prod",
    "messaging_system": "kafka",
    "messaging_destination_name": "orders",
    "messaging_consumer_group_name": "billing",
    "messaging_operation_type": "receive",
}


@pytest.fixture(scope="module")
def services(receiver: Receiver) -> Iterator[list[Service]]:
    """Two services that have read messages three times, and what they measured has arrived."""
    with serve(receiver, 1, 2) as services:
        for number in range(1, ROUNDS + 1):
            for service in services:
                service.read(COUNT)
            wait_for_messages(receiver, 2 * COUNT * number)
            sleep(1.1)  # no two values of a series are of one second
        yield services


def exact(services: list[Service], fraction: float, first: int = 0) -> float:
    return float(np.quantile([waited for service in services for waited in service.waited[first:]], fraction))


def test_each_process_is_a_series_with_the_labels_of_the_manual(receiver: Receiver, services: list[Service]) -> None:
    found = [each["metric"] for each in receiver.ask(f"last_over_time({CONSUMED}[1h])")]
    assert len(found) == len(services)
    for metric in found:
        assert {**metric, **LABELS} == metric


def test_counts_of_histograms_are_exact(receiver: Receiver, services: list[Service]) -> None:
    total = receiver.dialect.histogram % QUEUE
    count = f"histogram_count({total})" if receiver.dialect is NATIVE else receiver.dialect.counter % f"{QUEUE}_count"
    assert receiver.value_of(count) == len(services) * COUNT * ROUNDS


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_quantile_of_all_messages_is_within_two_percent(
    receiver: Receiver, services: list[Service], fraction: float
) -> None:
    found = receiver.value_of(f"histogram_quantile({fraction}, {receiver.dialect.histogram % QUEUE})")
    assert found == pytest.approx(exact(services, fraction), rel=TOLERANCE)


@pytest.mark.parametrize("fraction", FRACTIONS)
@pytest.mark.parametrize("receiver", RECENT, indirect=True, scope="module")
def test_quantile_of_the_last_minute_is_within_two_percent(
    receiver: Receiver, services: list[Service], fraction: float
) -> None:
    # Prometheus does not see the first value of a series; sums of differences have all.
    first = COUNT if receiver.dialect is NATIVE else 0
    found = receiver.value_of(f"histogram_quantile({fraction}, {receiver.dialect.recent % QUEUE})")
    assert found == pytest.approx(exact(services, fraction, first), rel=TOLERANCE)
