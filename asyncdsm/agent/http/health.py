"""The agent's own state: as JSON for `/api/health`, and in the text format of Prometheus for `/api/metrics`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from asyncdsm.agent.intake.ingest_queue import IntakeCounters
from asyncdsm.agent.queries.answers import AlertCounts, Forwarded, Health, Problem
from asyncdsm.agent.store.store import Store
from asyncdsm.core.counters import Stats


class AgentState(NamedTuple):
    """What health and metrics are computed from.

    `forwarded` is None if the agent does not forward, `alerts` if it has no rules.
    """

    store: Store
    intake: IntakeCounters
    forwarded: Stats | None
    live_streams: int
    alerts: AlertCounts | None = None


def measure_health(state: AgentState) -> Health:
    """Return what the agent has counted, and what is wrong with it: what, since when, how often."""
    intake, problems = state.intake, state.store.conditions.present()
    return Health(
        status="degraded" if problems else "ok",
        **state.store.counters(),
        refused=intake.rejected(),
        repeated=intake.repeated,
        negative_latencies=intake.negatives,
        unread=dict(sorted(intake.unread.items())),
        problems=[Problem(**problem) for problem in problems],
        forwarded=None if state.forwarded is None else _forwarded(state.forwarded),
        alerts=state.alerts,
    )


def _forwarded(stats: Stats) -> Forwarded:
    return Forwarded(
        recorded=stats.recorded, delivered=stats.delivered, pending=stats.pending, dropped=dict(stats.dropped_by)
    )


def format_metrics(state: AgentState) -> str:
    """Return the metrics in the text format of Prometheus (exposition format 0.0.4)."""
    lines = [*_store_metrics(state.store), *_intake_metrics(state.intake)]
    lines += _metric("live_streams", "gauge", "Open streams of events.", state.live_streams)
    if state.forwarded is not None:
        lines += _forwarding_metrics(state.forwarded)
    if state.alerts is not None:
        lines += _alert_metrics(state.alerts)
    return "".join(f"{line}\n" for line in lines)


def _store_metrics(store: Store) -> Iterator[str]:
    counters, conditions = store.counters(), store.conditions.present()
    lost = {"room": counters["forgotten_rows"], "too old": counters["ignored_rows"]}
    problems = {problem["name"]: problem["count"] for problem in conditions}
    yield from _metric("payloads_total", "counter", "Payloads stored.", counters["payloads"])
    yield from _metric("rows", "gauge", "Rows in the store: one per point and bucket of time.", counters["rows"])
    yield from _metrics("rows_lost_total", "counter", "Rows deleted early, or too old to be stored.", "reason", lost)
    ahead = counters["clamped_buckets"]
    yield from _metric("buckets_ahead_total", "counter", "Buckets from the future, stored as of now.", ahead)
    forgotten = store.points.forgotten
    yield from _metric("pathways_forgotten_total", "counter", "Pathways deleted for want of room.", forgotten)
    yield from _metrics("problems", "gauge", "What is wrong now, and how often it happened.", "name", problems)
    yield from _metric("store_bytes", "gauge", "Bytes of the store in use.", store.used_bytes())


def _intake_metrics(intake: IntakeCounters) -> Iterator[str]:
    statuses = {str(status): count for status, count in sorted(intake.by_status.items())}
    unread = dict(sorted(intake.unread.items()))
    negatives = intake.negatives
    yield from _metrics("intake_answers_total", "counter", "Answers to payloads.", "status", statuses)
    yield from _metric("repeated_total", "counter", "Payloads sent again, and counted once.", intake.repeated)
    yield from _metrics("unread_total", "counter", "Parts of payloads that could not be read.", "cause", unread)
    yield from _metric("negative_latencies_total", "counter", "Latencies below zero: clocks disagree.", negatives)


def _forwarding_metrics(stats: Stats) -> Iterator[str]:
    states = {"recorded": stats.recorded, "delivered": stats.delivered, "pending": stats.pending}
    states |= {f"dropped {cause}": count for cause, count in stats.dropped_by.items()}
    help_ = "Payloads to forward, and what became of them."
    yield from _metrics("forwarded_payloads", "gauge", help_, "state", states)


def _alert_metrics(alerts: AlertCounts) -> Iterator[str]:
    states = {"recorded": alerts.recorded, "delivered": alerts.delivered, "pending": alerts.pending}
    states |= {f"dropped {cause}": count for cause, count in alerts.dropped.items()}
    yield from _metric("alert_rules", "gauge", "Rules of alerts.", alerts.rules)
    yield from _metric("alerts_firing", "gauge", "Places where a rule has been broken for long enough.", alerts.firing)
    yield from _metrics("alert_messages", "gauge", "Messages to webhooks, and what became of them.", "state", states)


def _metric(name: str, kind: str, help_: str, value: float) -> Iterator[str]:
    yield from _head(name, kind, help_)
    yield f"asyncdsm_agent_{name} {value}"


def _metrics(name: str, kind: str, help_: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of a metric that has one value per value of a label."""
    yield from _head(name, kind, help_)
    for label_value, value in values.items():
        yield f'asyncdsm_agent_{name}{{{label}="{label_value}"}} {value}'


def _head(name: str, kind: str, help_: str) -> Iterator[str]:
    yield f"# HELP asyncdsm_agent_{name} {help_}"
    yield f"# TYPE asyncdsm_agent_{name} {kind}"
