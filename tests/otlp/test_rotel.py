"""Two processes, through rotel, a receiver that asyncdsm has no part in; and on to Prometheus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.brokers.prometheus import prometheus
from tests.brokers.rotel import rotel
from tests.intake import Intake
from tests.otlp.received import merge_points, otlp_receiver, points_of, quantile_of, requests_of
from tests.otlp.remote_write import write_histograms

MESSAGES = 3000
PATIENCE_SECONDS = 20.0
FRACTIONS = (0.5, 0.9, 0.99)
FEATURES = ("--enable-feature=native-histograms", "--web.enable-remote-write-receiver")


class Measured(NamedTuple):
    """What two processes have measured, and what arrived of it."""

    waited: list[float]
    points: list[tuple[dict[str, str], Any]]
    """The histograms of the time in the queue, one a process."""
    receiver: Intake


@pytest.fixture(scope="module")
def measured() -> Iterator[Measured]:
    with otlp_receiver() as receiver, rotel(receiver.url) as url:
        environ = {**os.environ, "DD_SERVICE": "billing", "ASYNCDSM_DESTINATIONS": "otlp"}
        environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.otlp.service", str(seed), str(MESSAGES)],
                env=environ,
                stdout=subprocess.PIPE,
            )
            for seed in (1, 2)
        ]
        waited = [seconds for process in processes for seconds in json.loads(process.communicate()[0])]
        assert [process.returncode for process in processes] == [0, 0]
        deadline = monotonic() + PATIENCE_SECONDS
        while len(found := find_points(receiver)) < 2:
            assert monotonic() < deadline, "rotel did not forward what it got"
            sleep(0.05)
        yield Measured(waited, found, receiver)


def find_points(receiver: Intake) -> list[tuple[dict[str, str], Any]]:
    """Return the last histogram of each process."""
    found = [each for request in requests_of(receiver) for each in points_of(request, "asyncdsm.queue.duration")]
    return list({attributes["service.instance.id"]: (attributes, point) for attributes, point in found}.values())


def exact(values: list[float], fraction: float) -> float:
    return sorted(values)[round(fraction * (len(values) - 1))]


def test_rotel_forwards_a_series_of_each_process(measured: Measured) -> None:
    assert {path for _, path, _, _ in measured.receiver.requests} == {"/v1/metrics"}
    assert [point.count for _, point in measured.points] == [MESSAGES, MESSAGES]
    assert {attributes["service.name"] for attributes, _ in measured.points} == {"billing"}
    assert len({attributes["service.instance.id"] for attributes, _ in measured.points}) == 2
    (first, _), _ = measured.points
    assert {name: value for name, value in first.items() if name.startswith("messaging")} == {
        "messaging.consumer.group.name": "billing",
        "messaging.destination.name": "orders",
        "messaging.operation.type": "receive",
        "messaging.system": "kafka",
    }


def test_quantiles_of_both_processes_are_within_two_percent_of_exact_ones(measured: Measured) -> None:
    merged = merge_points(point for _, point in measured.points)
    for fraction in FRACTIONS:
        assert quantile_of(merged, fraction) == pytest.approx(exact(measured.waited, fraction), rel=0.02)


def test_promql_over_both_processes_is_within_two_percent_of_exact_quantiles(
    measured: Measured, tmp_path: Path
) -> None:
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text("{}\n")
    with prometheus(configuration, *FEATURES) as url:
        write_histograms(url, "asyncdsm_queue_duration_seconds", measured.points)
        total = "sum(asyncdsm_queue_duration_seconds{messaging_destination_name='orders'})"
        assert ask(url, f"histogram_count({total})") == 2 * MESSAGES
        for fraction in FRACTIONS:
            answer = ask(url, f"histogram_quantile({fraction}, {total})")
            assert answer == pytest.approx(exact(measured.waited, fraction), rel=0.02)


def ask(url: str, query: str) -> float:
    (answer,) = httpx2.get(f"{url}/api/v1/query", params={"query": query}).json()["data"]["result"]
    return float(answer["value"][1])
