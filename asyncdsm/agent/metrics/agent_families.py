"""The metrics of the agent's own state: what it has stored, refused, forwarded and lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from asyncdsm.agent.intake.ingest_queue import IntakeCounters
from asyncdsm.agent.queries.answers import AlertCounts
from asyncdsm.agent.store.protocol import Store
from asyncdsm.core.counters import Stats

PREFIX = "asyncdsm_agent_"


def store_families(store: Store) -> Iterator[Metric]:
    """Yield the metrics of the store.

    Counts are this agent's own since its start, so that those of agents that share a store can be summed up.
    """
    own, conditions = store.own_counters(), store.conditions.present()
    lost = {"room": own["forgotten_rows"], "too old": own["ignored_rows"]}
    problems = {problem["name"]: problem["count"] for problem in conditions}
    yield _counter("payloads", "Payloads that this agent stored.", own["payloads"])
    rows = "Rows in the store, whichever agent wrote them: one per point and bucket of time."
    yield _gauge("rows", rows, store.counters()["rows"])
    yield _counters("rows_lost", "Rows deleted early, or too old to be stored.", "reason", lost)
    yield _counter("buckets_ahead", "Buckets from the future, stored as of now.", own["clamped_buckets"])
    yield _counter("pathways_forgotten", "Pathways deleted for want of room.", store.points.forgotten)
    yield _gauges("problems", "What is wrong now, and how often it happened.", "name", problems)
    yield _gauge("store_bytes", "Bytes of the store in use, whichever agent wrote them.", store.used_bytes())


def intake_families(intake: IntakeCounters) -> Iterator[Metric]:
    """Yield the metrics of the intake."""
    statuses = {str(status): count for status, count in sorted(intake.by_status.items())}
    unread = dict(sorted(intake.unread.items()))
    yield _counters("intake_answers", "Answers to payloads.", "status", statuses)
    yield _counter("repeated", "Payloads sent again, and counted once.", intake.repeated)
    yield _counters("unread", "Parts of payloads that could not be read.", "cause", unread)
    yield _counter("negative_latencies", "Latencies below zero: clocks disagree.", intake.negatives)


def forwarding_family(stats: Stats) -> Metric:
    """Return the metric of the payloads to forward."""
    states = {"recorded": stats.recorded, "delivered": stats.delivered, "pending": stats.pending}
    states |= {f"dropped {cause}": count for cause, count in stats.dropped_by.items()}
    return _gauges("forwarded_payloads", "Payloads to forward, and what became of them.", "state", states)


def alert_families(alerts: AlertCounts) -> Iterator[Metric]:
    """Yield the metrics of alerts, and of the messages to webhooks."""
    states = {"recorded": alerts.recorded, "delivered": alerts.delivered, "pending": alerts.pending}
    states |= {f"dropped {cause}": count for cause, count in alerts.dropped.items()}
    yield _gauge("alert_rules", "Rules of alerts.", alerts.rules)
    yield _gauge("alerts_firing", "Places where a rule has been broken for long enough.", alerts.firing)
    yield _gauges("alert_messages", "Messages to webhooks, and what became of them.", "state", states)


def live_streams_family(streams: int) -> Metric:
    """Return the metric of the open streams of events."""
    return _gauge("live_streams", "Open streams of events.", streams)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value)


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _fill(CounterMetricFamily(PREFIX + name, text, labels=[label]), values)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _fill(GaugeMetricFamily(PREFIX + name, text, labels=[label]), values)


def _fill(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]) -> Metric:
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family
