"""Native histograms: a real Prometheus scrapes them, and its quantiles are those of the values that were recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import numpy as np
import pytest
from anyio import to_thread
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from asyncdsm.agent.metrics.histogram_totals import HistogramTotals
from asyncdsm.agent.metrics.native_buckets import LONGEST, ZERO_THRESHOLD, NativeBuckets, NativeHistogram
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from tests.agent.payloads import Client, ours, passed
from tests.agent.test_metrics import IN, report_pipeline
from tests.agent.test_prometheus import until
from tests.brokers.prometheus import PROMETHEUS_3, prometheus

CONFIGURATION = """
global: {{scrape_interval: 300ms}}
scrape_configs:
  - job_name: asyncdsm
    metrics_path: /api/metrics
    static_configs: [{{targets: ["{target}"]}}]
"""
ASK_FOR_BOTH = """\
    scrape_native_histograms: true
    always_scrape_classic_histograms: true
"""
"""What Prometheus 3 needs; Debian's refuses it, and takes native histograms alone, with an option."""
QUEUE = "asyncdsm_queue_duration_seconds"
TOLERANCE = 0.02


@pytest.fixture
def configuration(client: Client, tmp_path: Path) -> Path:
    """Write a configuration that scrapes the test's agent."""
    path = tmp_path / "prometheus.yml"
    text = CONFIGURATION.format(target=f"{client.base_url.host}:{client.base_url.port}")
    path.write_text(text + ASK_FOR_BOTH if PROMETHEUS_3 else text)
    return path


@pytest.fixture
async def native_prometheus(configuration: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Run a Prometheus that asks the test's agent for protobuf; give a client of it."""
    running = prometheus(configuration, "--enable-feature=native-histograms")
    address = await to_thread.run_sync(running.__enter__)
    try:
        async with httpx2.AsyncClient(base_url=address, timeout=20) as http:
            yield http
    finally:
        await to_thread.run_sync(running.__exit__, None, None, None)


async def report_latencies(client: Client, latencies: dict[str, list[float]]) -> None:
    """Report how long messages waited, by the service that read them."""
    for service, values in latencies.items():

        def read(aggregator: Aggregator, values: list[float] = values) -> None:
            passed(aggregator, IN, values, parent=7)

        for body in ours(read, service):
            assert (await client.report(body, gzipped=True)).status_code == 202


async def report_name(client: Client, topic: str) -> None:
    """Report a message to a topic with this name."""

    def record(aggregator: Aggregator) -> None:
        passed(aggregator, Edge("direction:out", f"topic:{topic}", "type:kafka"), [0], size=100)

    for body in ours(record, "shop"):
        assert (await client.report(body, gzipped=True)).status_code == 202


async def test_prometheus_finds_exact_quantiles_and_the_other_metrics(
    client: Client, native_prometheus: httpx2.AsyncClient
) -> None:
    """All in one test: Prometheus takes five seconds before it scrapes for the first time."""
    random, hostile = Random(20), 'or"ders\\\n# TYPE x 漢字'
    billing = [random.lognormvariate(-3, 1.2) for _ in range(3000)]
    audit = [random.lognormvariate(1, 0.5) for _ in range(1000)]
    await until("up == 1", bool, native_prometheus)
    await report_name(client, hostile)
    await report_latencies(client, {"billing": billing, "audit": audit})

    async def value_of(query: str) -> float:
        (found,) = await until(query, bool, native_prometheus)
        return float(found["value"][1])

    assert await value_of(f"histogram_count(sum({QUEUE}))") == 4000
    assert await value_of(f"histogram_sum(sum({QUEUE}))") == pytest.approx(sum(billing + audit), rel=0.008)
    selected = {"": billing + audit, '{service_name="billing"}': billing, '{service_name="audit"}': audit}
    for fraction in (0.1, 0.5, 0.9, 0.99):
        for selector, values in selected.items():
            found = await value_of(f"histogram_quantile({fraction}, sum({QUEUE}{selector}))")
            assert found == pytest.approx(float(np.quantile(values, fraction)), rel=TOLERANCE), (fraction, selector)
    if PROMETHEUS_3:
        assert await value_of(f"sum({QUEUE}_count)") == 4000
        assert await value_of(f'sum({QUEUE}_bucket{{le="0.1"}})') == sum(value <= 0.1 for value in billing + audit)
    assert await value_of("sum(messaging_client_consumed_messages_total)") == 4000
    assert await value_of("asyncdsm_message_size_bytes_count") == 1
    assert await value_of("asyncdsm_message_size_bytes_sum") == pytest.approx(100, rel=0.008)
    assert await value_of("asyncdsm_left_out_lags") == 0
    (written,) = await until("messaging_client_sent_messages_total", bool, native_prometheus)
    assert {name: value for name, value in written["metric"].items() if name not in {"instance", "job"}} == {
        "__name__": "messaging_client_sent_messages_total",
        "service_name": "shop",
        "messaging_operation_type": "send",
        "messaging_system": "kafka",
        "messaging_destination_name": hostile,
    }


def one_histogram(values: list[float], most: int = 1 << 20) -> NativeHistogram:
    buckets = NativeBuckets(most)
    buckets.add(np.zeros(len(values), np.int64), np.array(values), np.ones(len(values)))
    buckets.merge_pending([0])
    (found,) = buckets.histograms(np.zeros(1, np.int64))
    return found


def read_buckets(histogram: NativeHistogram) -> dict[int, float]:
    return dict(zip(histogram.indexes.tolist(), histogram.counts.tolist(), strict=True))


def test_bucket_ends_at_its_upper_bound() -> None:
    step = 2 ** (1 / 32)
    found = one_histogram([1.0, 1.0 + 1e-9, step * (1 - 1e-9), step * (1 + 1e-9), 2.0])
    assert (found.scale, read_buckets(found)) == (5, {0: 1, 1: 2, 2: 1, 32: 1})


def test_smallest_and_largest_values_are_counted() -> None:
    found = one_histogram([0.0, 1e-300, ZERO_THRESHOLD, LONGEST, 1e300, float("inf")])
    assert (found.zeros, read_buckets(found)) == (3, {30 * 32: 3})


def test_too_many_buckets_are_merged_to_a_coarser_scale() -> None:
    values = [2 ** ((index - 0.5) / 32) for index in range(-64, 64)]
    finest = one_histogram(values)
    assert (finest.scale, len(finest.indexes)) == (5, 128)
    merged = one_histogram(values, most=40)
    assert (merged.scale, read_buckets(merged)) == (3, read_buckets(finest.coarser().coarser()))
    assert sum(read_buckets(merged).values()) == 128


def test_coarsest_scale_is_not_left() -> None:
    found = one_histogram([2.0**exponent for exponent in range(-19, 30)], most=1)
    assert (found.scale, found.zeros, sum(read_buckets(found).values())) == (-4, 0, 49)
    assert read_buckets(found) == {-1: 4, 0: 16, 1: 16, 2: 13}


def test_series_that_is_gone_is_forgotten() -> None:
    buckets = NativeBuckets()
    buckets.add(np.array([0, 1, 1]), np.array([1.0, 1.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    buckets.merge_pending([1])
    gone, kept = buckets.histograms(np.array([0, 1]))
    assert (read_buckets(gone), read_buckets(kept)) == ({}, {0: 2, 64: 3})


def test_what_was_counted_before_somebody_asked_is_in_the_buckets_of_its_bounds() -> None:
    totals, zero = HistogramTotals[str](1, 2, lambda: 0.0), np.zeros(3, np.int64)
    totals.add(["a"], zero, zero, np.array([0.7, 0.8, 5000.0]), np.array([1.0, 2.0, 3.0]))
    (before,) = totals.totals()
    assert read_buckets(before.native[0]) == {}
    totals.start_native()
    totals.add(["a"], zero, zero, np.array([2.0, 2.0, 2.0]), np.ones(3))
    totals.start_native()
    (after,) = totals.totals()
    found = read_buckets(after.native[0])
    assert found == {0: 3, 32: 3, 411: 3}, "at 1 s, at 2 s, and at 7,200 s"
    assert sum(found.values()) == sum(after.buckets[0]) == 9


ACCEPTED: list[tuple[str, str]] = [
    ("", "text/plain; version=0.0.4"),
    ("*/*", "text/plain; version=0.0.4"),
    ("text/html;q=1, image/png", "text/plain; version=0.0.4"),
    ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text"),
    ("application/openmetrics-text;version=2.0.0,text/plain;q=0.5", "text/plain; version=0.0.4"),
    ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;q=0.5", "text/plain"),
    (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,text/plain;q=0.2",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    ),
    (
        "APPLICATION/VND.GOOGLE.PROTOBUF;PROTO=IO.PROMETHEUS.CLIENT.METRICFAMILY;ENCODING=DELIMITED,TEXT/PLAIN;Q=0.2",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    ),
    ("TEXT/PLAIN;Q=0.2,Application/OpenMetrics-Text", "application/openmetrics-text; version=1.0.0"),
    ("application/vnd.google.protobuf;proto=other;encoding=delimited", "text/plain; version=0.0.4"),
    ("application/openmetrics-text;q=0", "text/plain; version=0.0.4"),
    ("application/openmetrics-text;q=high, text/plain;q=0.1", "text/plain; version=0.0.4"),
]


@pytest.mark.parametrize(("accept", "content_type"), ACCEPTED)
async def test_scraper_gets_the_format_that_it_prefers(client: Client, accept: str, content_type: str) -> None:
    answer = await client.get("/api/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"].startswith(content_type)
    assert answer.headers["Vary"] == "Accept"


async def test_openmetrics_says_what_the_text_says(client: Client) -> None:
    await report_pipeline(client)
    text = (await client.get("/api/metrics")).text
    openmetrics = (await client.get("/api/metrics", headers={"Accept": "application/openmetrics-text"})).text
    assert openmetrics.endswith("\n# EOF\n")

    def samples(families: Any) -> set[Any]:
        return {
            (sample.name, frozenset(sample.labels.items()), sample.value)
            for family in families
            for sample in family.samples
            if not sample.name.startswith("asyncdsm_agent_store_bytes")
        }

    found = samples(parse_openmetrics(openmetrics))
    assert len(found) > 50
    assert found == samples(parse_text(text))
