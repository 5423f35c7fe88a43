"""The metrics of traffic and lag, named as OpenTelemetry's conventions name them where those have a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from asyncdsm.agent.metrics.edge_names import EdgeName
from asyncdsm.agent.metrics.histogram_family import HistogramFamily, LabeledHistogram
from asyncdsm.agent.metrics.histogram_totals import Total
from asyncdsm.agent.metrics.hop_latencies import IN_QUEUE, IN_SERVICE
from asyncdsm.agent.metrics.link_totals import LinkName
from asyncdsm.agent.metrics.traffic_totals import Traffic
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE
from asyncdsm.map.topology import PartitionLag

MOST_LAGS = 5_000
"""How many partitions are shown: those with the largest lag."""
EDGE_LABELS = (
    "service_name",
    "deployment_environment_name",
    "messaging_operation_type",
    "messaging_system",
    "messaging_destination_name",
    "messaging_consumer_group_name",
    "messaging_kafka_cluster_id",
    "messaging_destination_kind",
)
LINK_LABELS = ("client", "server", "deployment_environment_name", "connection_type")
LAG_LABELS = (
    "messaging_consumer_group_name",
    "messaging_destination_name",
    "messaging_destination_partition_id",
    "messaging_kafka_cluster_id",
)
OPERATIONS = {"in": "receive", "out": "send"}


def traffic_families(traffic: Traffic, *, with_created: bool = False) -> Iterator[Metric]:
    """Yield the numbers of messages, and their sizes; if wanted, with samples that say since when each counts."""

    def created_at(total: Total[Any]) -> float | None:
        return traffic.epoch + total.since if with_created else None

    for name, text, direction in (
        ("messaging_client_consumed_messages", "Messages that services have read.", "in"),
        ("messaging_client_sent_messages", "Messages that services have written.", "out"),
    ):
        count = CounterMetricFamily(name, text, labels=EDGE_LABELS)
        for edge in _of_direction(traffic, direction):
            count.add_metric(_edge_values(edge.key), sum(edge.buckets[PATHWAY]), created_at(edge))
        yield count
    size = SummaryMetricFamily("asyncdsm_message_size_bytes", "Sizes of messages.", labels=EDGE_LABELS)
    for edge in traffic.edges:
        if known := round(sum(edge.buckets[SIZE])):
            size.add_metric(_edge_values(edge.key), known, edge.sums[SIZE])
            if (created := created_at(edge)) is not None:
                size.add_sample(f"{size.name}_created", {}, created)
    yield size
    requests = CounterMetricFamily(
        "traces_service_graph_request", "Messages that one service wrote and another one read.", labels=LINK_LABELS
    )
    for link in traffic.links:
        requests.add_metric(_link_values(link.key), sum(link.buckets[IN_QUEUE]), created_at(link))
    yield requests
    left_out = "Messages that no metric of an edge counts: too many edges, or a name that is too long."
    yield CounterMetricFamily("asyncdsm_left_out_messages", left_out, traffic.left_out)
    left_out = "Messages that no metric of the service graph counts, because there are too many pairs of services."
    yield CounterMetricFamily("asyncdsm_left_out_link_messages", left_out, traffic.left_out_of_links)
    unlinked = "Messages that were read, and no service is known that wrote them."
    yield CounterMetricFamily("asyncdsm_unlinked_messages", unlinked, traffic.unlinked)


def traffic_histograms(traffic: Traffic) -> Iterator[HistogramFamily]:
    """Yield the latencies of each edge, and of each link: from the latter, Grafana draws its service graph."""
    for name, text, direction, histogram in (
        ("queue", "Time in the queue.", "in", EDGE),
        (
            "process",
            "Time in the service, from a message to the one that it wrote because of that.",
            "out",
            EDGE,
        ),
        ("pathway", "Time since the pathway began, of messages that were read.", "in", PATHWAY),
    ):
        edges = ((_edge_values(edge.key), edge) for edge in _of_direction(traffic, direction))
        used = _used_histograms(edges, histogram, traffic.epoch)
        yield HistogramFamily(f"asyncdsm_{name}_duration_seconds", text, EDGE_LABELS, used)
    for name, text, histogram in (
        ("messaging_system", "Time in the queue between two services.", IN_QUEUE),
        ("server", "Time in the second service, until it wrote a message because of the first.", IN_SERVICE),
    ):
        links = ((_link_values(link.key), link) for link in traffic.links)
        used = _used_histograms(links, histogram, traffic.epoch)
        yield HistogramFamily(f"traces_service_graph_request_{name}_seconds", text, LINK_LABELS, used)


def lag_families(lags: Iterable[PartitionLag]) -> Iterator[Metric]:
    """Yield the lag of consumer groups, by partition."""
    behind = GaugeMetricFamily("asyncdsm_consumer_lag", "Messages that a group has not read.", labels=LAG_LABELS)
    text = "Age of the oldest message that a group has not read, where it is known."
    age = GaugeMetricFamily("asyncdsm_consumer_lag_seconds", text, labels=LAG_LABELS)
    listed = sorted(lags, key=lambda each: each.behind, reverse=True)
    for lag in listed[:MOST_LAGS]:
        labels = [lag.group, lag.topic, lag.partition, lag.cluster_id or ""]
        behind.add_metric(labels, lag.behind)
        if lag.seconds is not None:
            age.add_metric(labels, lag.seconds)
    yield behind
    yield age
    left_out = "Partitions of groups whose lag is not shown, because there are too many: those that lag least."
    yield GaugeMetricFamily("asyncdsm_left_out_lags", left_out, max(0, len(listed) - MOST_LAGS))


def _of_direction(traffic: Traffic, direction: str) -> list[Total[EdgeName]]:
    return [edge for edge in traffic.edges if edge.key.direction == direction]


def _edge_values(edge: EdgeName) -> list[str]:
    operation = OPERATIONS.get(edge.direction, edge.direction)
    return [edge.service, edge.env, operation, edge.type, edge.queue, edge.group, edge.cluster, edge.kind]


def _link_values(link: LinkName) -> list[str]:
    return [*link, "messaging_system"]


def _used_histograms(
    totals: Iterable[tuple[list[str], Total[Any]]], histogram: int, epoch: float
) -> list[LabeledHistogram]:
    """Return the histograms that have counted anything."""
    return [
        LabeledHistogram(
            labels, total.buckets[histogram], total.sums[histogram], total.native[histogram], epoch + total.since
        )
        for labels, total in totals
        if any(total.buckets[histogram])
    ]
