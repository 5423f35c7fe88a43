"""Where messages that are pushed over HTTP carry their context. Pure functions.

Amazon SNS and EventBridge, Google Pub/Sub, CloudEvents (protocol §3). Names that come from a request become tags: they
are cut off at a length, and the edges kept are bounded.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from asyncdsm.edge import Edge
from asyncdsm.pathway import HEADER

EXTENSION = HEADER.replace("-", "")
"""A CloudEvents extension attribute has no hyphens in its name."""
# Knative puts a prefix before the names of Kafka headers; older versions of it took the hyphens out, as is the rule.
_EXTENSIONS = (EXTENSION, f"kafkaheader{EXTENSION}", f"kafkaheader{HEADER}")

_LONGEST_NAME = 256


class Pushed(NamedTuple):
    """A message that a request brought."""

    edge: Edge
    header: str | bytes | None = None
    """The context's base64 text."""
    broker_ns: int | None = None
    """When the message was published."""


# The parts of the JSON objects that are looked into: the rest is not even decoded.


class _Notification(msgspec.Struct):
    topic: str = msgspec.field(default="", name="TopicArn")
    time: str = msgspec.field(default="", name="Timestamp")
    attributes: dict[str, Any] = msgspec.field(default_factory=dict, name="MessageAttributes")


class _PubSubMessage(msgspec.Struct):
    attributes: dict[str, str] = {}
    time: str = msgspec.field(default="", name="publishTime")


class _PubSub(msgspec.Struct):
    message: _PubSubMessage
    subscription: str = ""


class _Event(msgspec.Struct):
    detail: dict[str, Any] = {}
    kind: str = msgspec.field(default="", name="detail-type")
    time: str = ""


def _sns(body: bytes) -> list[Pushed]:
    """An SNS notification; `_datadog` is Binary, or, from older tracers, String."""
    notification = msgspec.json.decode(body, type=_Notification)
    attribute = notification.attributes.get("_datadog")
    value = attribute.get("Value") if isinstance(attribute, dict) else None
    return [Pushed(edge("sns", notification.topic), _context_in(value), _nanoseconds(notification.time))]


def _pubsub(body: bytes) -> list[Pushed]:
    """A Pub/Sub message, wrapped, as Eventarc pushes it too."""
    push = msgspec.json.decode(body, type=_PubSub)
    header = push.message.attributes.get(HEADER)
    return [Pushed(edge("google-pubsub", push.subscription), header, _nanoseconds(push.message.time))]


def _eventbridge(body: bytes) -> list[Pushed]:
    """An event of EventBridge, as it was put."""
    event = msgspec.json.decode(body, type=_Event)
    ours = event.detail.get("_datadog")
    header = ours.get(HEADER) if isinstance(ours, dict) else None
    return [Pushed(edge("eventbridge", event.kind), _if_text(header), _nanoseconds(event.time))]


def _structured(body: bytes) -> list[Pushed]:
    return [cloud_event(msgspec.json.decode(body, type=dict[str, Any]))]


def _batch(body: bytes) -> list[Pushed]:
    return [cloud_event(event) for event in msgspec.json.decode(body, type=list[dict[str, Any]])]


READERS: dict[str, Callable[[bytes], list[Pushed]]] = {
    "sns": _sns,
    "pubsub": _pubsub,
    "eventbridge": _eventbridge,
    "structured": _structured,
    "batch": _batch,
}
"""The bodies that are looked into, by the name of who sends them. Each raises MsgspecError for another body."""


def cloud_event(attributes: Mapping[str, Any]) -> Pushed:
    """Return a CloudEvent, by its attributes: `type` names it."""
    header = next((attributes[name] for name in _EXTENSIONS if name in attributes), None)
    kind, time = _if_text(attributes.get("type")), _if_text(attributes.get("time"))
    return Pushed(edge("cloudevents", kind or ""), _if_text(header), _nanoseconds(time or ""))


def _context_in(value: Any) -> str | None:
    """Read the JSON object of a `_datadog` attribute, or its base64, as SNS delivers what is binary."""
    try:
        text = value if value.lstrip()[:1] == "{" else a2b_base64(value)
        return _if_text(msgspec.json.decode(text, type=dict[str, Any]).get(HEADER))
    except (AttributeError, ValueError, TypeError, msgspec.MsgspecError):
        return None


@lru_cache(1024)
def edge(kind: str, topic: str = "") -> Edge:
    """Return the edge of consuming from a topic, as far as it is known."""
    return Edge("direction:in", f"type:{kind}", *([f"topic:{topic[:_LONGEST_NAME]}"] if topic else []))


def _nanoseconds(time: str) -> int | None:
    """Read an RFC 3339 time; None for anything else."""
    try:
        moment = datetime.fromisoformat(time)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e9)
    except (ValueError, OverflowError):
        return None


def _if_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
