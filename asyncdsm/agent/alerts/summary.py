"""What rules and their states are as an answer: for `/api/alerts`, the page, and `asyncdsm check --format json`."""

from __future__ import annotations

from collections.abc import Iterable

from asyncdsm.agent.alerts.rules import Rule, describe_rule, describe_value
from asyncdsm.agent.alerts.tracks import RuleTracks, Track
from asyncdsm.agent.queries.answers import Alert, AlertRule, Alerts
from asyncdsm.map.strings import plain_text

MOST_ALERTS = 20
"""How many places of one rule an answer has."""


def summarize_rules(watched: Iterable[RuleTracks], evaluated: float | None) -> Alerts:
    """Return the states of rules at a moment in seconds since the epoch, None if they were never evaluated."""
    return Alerts(evaluated=evaluated, rules=[_summarize_rule(tracks) for tracks in watched])


def _summarize_rule(tracks: RuleTracks) -> AlertRule:
    rule, places = tracks.rule, tracks.worst()
    state = places[0].state if places else "unknown"
    broken = [place for place in places if place.state in {"pending", "firing"}]
    return AlertRule(
        name=plain_text(rule.name),
        severity=rule.severity,
        condition=describe_rule(rule),
        unit=rule.unit,
        state=state,
        since=min((place.since for place in places if place.state == state), default=None),
        problem=_explain_unknown(rule, places[0] if places else None, tracks.problem) if state == "unknown" else "",
        firing=sum(place.state == "firing" for place in places),
        alerts=[_summarize_place(rule, place) for place in broken[:MOST_ALERTS]],
        more=max(0, len(broken) - MOST_ALERTS),
    )


def _summarize_place(rule: Rule, track: Track) -> Alert:
    return Alert(
        place=track.reading.place,
        text=describe_place(rule, track),
        state="firing" if track.state == "firing" else "pending",
        value=track.reading.value,
        since=track.since,
        or_earlier=track.or_earlier,
        nodes=list(track.reading.nodes),
        edges=list(track.reading.edges),
    )


def describe_place(rule: Rule, track: Track) -> str:
    """Return what is wrong at a place that has an alert, as in `orders → group billing: lag is 95 s, above 60 s`."""
    place, value = track.reading.place, track.reading.value
    if value is None:
        return f"{place}: not known at present"
    if not rule.is_broken_by(value):
        return f"{place}: back to normal, but not for long enough"
    return f"{place}: {describe_value(rule, value)}"


def _explain_unknown(rule: Rule, track: Track | None, problem: str) -> str:
    if track is None:
        return problem
    if not track.reading.key:
        return f"{track.reading.place} has not been seen yet"
    return f"{track.reading.place}: {rule.kind.unknown} is not known"
