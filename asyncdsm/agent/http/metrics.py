"""What the agent says of itself: as JSON for `/api/health`, and as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from asyncdsm.agent.intake.ingest_queue import IntakeCounters
from asyncdsm.agent.queries.answers import Forwarded, Health, Problem
from asyncdsm.agent.store.store import Store
from asyncdsm.core.counters import Stats


class About(NamedTuple):
    """Where the figures come from."""

    store: Store
    answers: IntakeCounters
    forwarded: Stats | None
    streams: int


def health(about: About) -> Health:
    """Return what the agent has counted, and what is wrong with it, if anything is: what, since when, how often."""
    answers, problems, forwarded = about.answers, about.store.conditions.present(), about.forwarded
    return Health(
        status="degraded" if problems else "ok",
        **about.store.counters(),
        refused=answers.rejected(),
        repeated=answers.repeated,
        negative_latencies=answers.negatives,
        unread=dict(sorted(answers.unread.items())),
        problems=[Problem(**problem) for problem in problems],
        forwarded=None
        if forwarded is None
        else Forwarded(
            recorded=forwarded.recorded,
            delivered=forwarded.delivered,
            pending=forwarded.pending,
            dropped=dict(forwarded.dropped_by),
        ),
    )


def prometheus(about: About) -> str:
    """Return the metrics as text (exposition format 0.0.4)."""
    return "".join(f"{line}\n" for line in _lines(about))


def _lines(about: About) -> Iterator[str]:
    counters = about.store.counters()
    yield from _metric("payloads_total", "counter", "Payloads stored.", {"": counters["payloads"]})
    yield from _metric("rows", "gauge", "Points times stretches of time that are kept.", {"": counters["rows"]})
    reasons = {
        '{reason="room"}': counters["forgotten_rows"],
        '{reason="too old"}': counters["ignored_rows"],
    }
    yield from _metric("rows_lost_total", "counter", "Rows forgotten before their time, or never kept.", reasons)
    ahead = {"": counters["clamped_buckets"]}
    yield from _metric("buckets_ahead_total", "counter", "Buckets of clocks that are ahead, taken as of now.", ahead)
    forgotten = {"": about.store.points.forgotten}
    yield from _metric("pathways_forgotten_total", "counter", "Pathways forgotten for want of room.", forgotten)
    present = {f'{{name="{problem["name"]}"}}': problem["count"] for problem in about.store.conditions.present()}
    yield from _metric("problems", "gauge", "What is wrong at present, and how often it happened.", present)
    yield from _metric("store_bytes", "gauge", "Bytes in use.", {"": about.store.used_bytes()})
    answers = {f'{{status="{status}"}}': count for status, count in sorted(about.answers.by_status.items())}
    yield from _metric("intake_answers_total", "counter", "What the intake answered.", answers)
    repeated = {"": about.answers.repeated}
    yield from _metric("repeated_total", "counter", "Payloads that were sent again, and counted once.", repeated)
    unread = {f'{{cause="{cause}"}}': count for cause, count in sorted(about.answers.unread.items())}
    yield from _metric("unread_total", "counter", "Parts of payloads that could not be read.", unread)
    negative = {"": about.answers.negatives}
    yield from _metric(
        "negative_latencies_total", "counter", "Latencies below zero, of clocks that disagree.", negative
    )
    yield from _metric("live_streams", "gauge", "Pages that listen.", {"": about.streams})
    if (forwarded := about.forwarded) is not None:
        states = {
            '{state="recorded"}': forwarded.recorded,
            '{state="delivered"}': forwarded.delivered,
            '{state="pending"}': forwarded.pending,
            **{f'{{state="dropped {cause}"}}': count for cause, count in forwarded.dropped_by.items()},
        }
        yield from _metric("forwarded_payloads", "gauge", "Payloads to pass on, and what became of them.", states)


def _metric(name: str, kind: str, help_: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP asyncdsm_agent_{name} {help_}"
    yield f"# TYPE asyncdsm_agent_{name} {kind}"
    for labels, value in values.items():
        yield f"asyncdsm_agent_{name}{labels} {value}"
