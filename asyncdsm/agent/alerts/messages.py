"""The JSON that is posted to a webhook when an alert begins or ends. Slack, and receivers like it, show its `text`."""

from __future__ import annotations

from typing import Any

from msgspec.json import encode

from asyncdsm.agent.alerts.rules import Rule
from asyncdsm.agent.alerts.summary import describe_place
from asyncdsm.agent.alerts.tracks import Event
from asyncdsm.map.strings import format_duration, format_zoned, plain_text


def write_message(rule: Rule, event: Event, now: float) -> bytes:
    """Return the body of a request that says that an alert begins or ends, at a moment in seconds since the epoch."""
    track = event.track
    message: dict[str, Any] = {
        "text": _escape_markup(_begin_text(rule, event, now) if event.begins else _end_text(rule, event, now)),
        "event": "begins" if event.begins else "ends",
        "rule": rule.name,
        "severity": rule.severity,
        "place": track.reading.place,
        "value": track.reading.value,
        "unit": rule.unit,
        "since": event.began,
        "or_earlier": event.or_earlier,
        "at": now,
    }
    if not event.begins:
        message["reason"] = event.reason
    return encode(message)


def _begin_text(rule: Rule, event: Event, now: float) -> str:
    since = format_zoned(event.began, now) + (" or earlier" if event.or_earlier else "")
    return f"{rule.severity.upper()} {plain_text(rule.name)}: {describe_place(rule, event.track)}, since {since}"


def _end_text(rule: Rule, event: Event, now: float) -> str:
    lasted = ("at least " if event.or_earlier else "") + format_duration(max(0.0, now - event.began))
    if event.reason != "over":
        place = event.track.reading.place
        return f"{event.reason.upper()} {plain_text(rule.name)}: its alert for {place} ends here, after {lasted}"
    known = "" if event.track.reading.value is not None else "; the value is no longer known"
    return f"OK {plain_text(rule.name)}: {event.track.reading.place}, over after {lasted}{known}"


def _escape_markup(text: str) -> str:
    """Escape what Slack would read as markup: a name such as `<!channel>` would notify everybody in a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
