"""All metrics, in the format that a scraper wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from asyncdsm.agent.intake.ingest_queue import IntakeCounters
from asyncdsm.agent.metrics.agent_families import (
    alert_families,
    forwarding_family,
    intake_families,
    live_streams_family,
    store_families,
)
from asyncdsm.agent.metrics.families import lag_families, traffic_families, traffic_histograms
from asyncdsm.agent.metrics.formats import OPENMETRICS, PROTOBUF, TEXT, MetricsFormat
from asyncdsm.agent.metrics.histogram_text import write_histograms
from asyncdsm.agent.metrics.protobuf_format import write_delimited
from asyncdsm.agent.metrics.traffic_totals import TrafficTotals
from asyncdsm.agent.queries.answers import AlertCounts
from asyncdsm.agent.queries.lag import current_lags
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.store.protocol import UNAVAILABLE, Store
from asyncdsm.core.counters import Stats


class AgentState(NamedTuple):
    """What health and metrics are computed from.

    `forwarded` is None if the agent does not forward, `alerts` if it has no rules.
    """

    store: Store
    intake: IntakeCounters
    traffic: TrafficTotals
    forwarded: Stats | None
    live_streams: int
    alerts: AlertCounts | None = None


class _Families(Collector):
    """Metrics that are computed already, in the form in which `generate_latest` takes them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def format_metrics(state: AgentState, format_: MetricsFormat = TEXT) -> bytes:
    """Return all metrics in a format.

    Native histograms, which only protobuf has, are counted from the first time on that somebody asks for them.
    """
    as_protobuf = format_ is PROTOBUF
    if as_protobuf:
        state.traffic.start_native()
    traffic = state.traffic.read()
    # Only in protobuf it costs no further series to say since when something counts.
    families = [*_agent_families(state), *traffic_families(traffic, with_created=as_protobuf), *_lags(state.store)]
    histograms = traffic_histograms(traffic)
    if as_protobuf:
        return write_delimited(families, histograms, state.store.opened_at)
    text = "".join(line for each in histograms for line in write_histograms(each)).encode()
    if format_ is OPENMETRICS:
        end: bytes = generate_openmetrics(_Families(families))  # its last line says that all is there
        return text + end
    return generate_latest(_Families(families)) + text


def _agent_families(state: AgentState) -> Iterator[Metric]:
    yield from store_families(state.store)
    yield from intake_families(state.intake)
    yield live_streams_family(state.live_streams)
    if state.forwarded is not None:
        yield forwarding_family(state.forwarded)
    if state.alerts is not None:
        yield from alert_families(state.alerts)


def _lags(store: Store) -> Iterator[Metric]:
    """Return the metrics of lag: none while the store cannot be read, so that those of the agent are there."""
    with suppress(*UNAVAILABLE):
        return lag_families(current_lags(store, last_minutes(store, 1)).partitions)
    return iter(())
