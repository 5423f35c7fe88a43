"""What counts says since when, in protobuf: with that, Prometheus knows that a series began at zero."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any

import httpx2
import pytest
from anyio import to_thread

from asyncdsm.agent.metrics.formats import OPENMETRICS, PROTOBUF
from asyncdsm.agent.metrics.protobuf_schema import MetricFamily
from tests.agent.payloads import NOW, Client
from tests.agent.test_metrics import report_pipeline
from tests.agent.test_native_histograms import CONFIGURATION
from tests.agent.test_prometheus import until
from tests.brokers.prometheus import PROMETHEUS_3, prometheus

COUNTING = ("counter", "summary", "histogram")


def read_delimited(body: bytes) -> Iterator[Any]:
    """Yield the metrics of a body in protobuf."""
    at = 0
    while at < len(body):
        length, shift = 0, 0
        while body[at] & 0x80:
            length, shift, at = length | (body[at] & 0x7F) << shift, shift + 7, at + 1
        length, at = length | body[at] << shift, at + 1
        yield MetricFamily.FromString(body[at : at + length])
        at += length


def created_times(body: bytes) -> dict[str, set[float]]:
    """Return since when the values of each metric count; those that say nothing are left out."""
    found = dict[str, set[float]]()
    for family in read_delimited(body):
        for metric in family.metric:
            for kind in COUNTING:
                value = getattr(metric, kind)
                if metric.HasField(kind) and value.HasField("created_timestamp"):
                    created = value.created_timestamp
                    found.setdefault(family.name, set()).add(created.seconds + created.nanos / 1e9)
    return found


async def test_series_say_when_they_began_and_counts_of_the_agent_when_it_started(client: Client) -> None:
    before = time()
    await report_pipeline(client)
    after = time()
    await report_pipeline(client)  # a second report does not change when a series began
    found = created_times((await client.get("/api/metrics", headers={"Accept": PROTOBUF.content_type})).content)
    began = {name: times for name, times in found.items() if times != {NOW}}
    assert set(began) == {
        "messaging_client_consumed_messages_total",
        "messaging_client_sent_messages_total",
        "asyncdsm_message_size_bytes",
        "traces_service_graph_request_total",
        *(f"asyncdsm_{name}_duration_seconds" for name in ("queue", "process", "pathway")),
        *(f"traces_service_graph_request_{name}_seconds" for name in ("messaging_system", "server")),
    }
    assert all(before - 0.01 <= each <= after + 0.01 for times in began.values() for each in times)
    assert found["asyncdsm_agent_payloads_total"] == {NOW}


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS.content_type])
async def test_formats_of_text_have_no_further_series_for_it(client: Client, accept: str) -> None:
    await report_pipeline(client)
    assert "_created" not in (await client.get("/api/metrics", headers={"Accept": accept})).text


@pytest.fixture
def configuration(client: Client, tmp_path: Path) -> Path:
    """Write a configuration that scrapes the test's agent."""
    path = tmp_path / "prometheus.yml"
    path.write_text(CONFIGURATION.format(target=f"{client.base_url.host}:{client.base_url.port}"))
    return path


async def test_prometheus_counts_the_first_value_if_it_is_told_to(client: Client, configuration: Path) -> None:
    running = prometheus(configuration, "--enable-feature=created-timestamp-zero-ingestion")
    address = await to_thread.run_sync(running.__enter__)
    try:
        async with httpx2.AsyncClient(base_url=address, timeout=20) as http:
            await until("up == 1", bool, http)
            await report_pipeline(client)
            increase = 'increase(messaging_client_sent_messages_total{service_name="shop"}[1m]) > bool 0'
            (found,) = await until(increase, bool, http)
    finally:
        await to_thread.run_sync(running.__exit__, None, None, None)
    assert found["value"][1] == ("1" if PROMETHEUS_3 else "0"), "Prometheus 2.42 has no such option"
