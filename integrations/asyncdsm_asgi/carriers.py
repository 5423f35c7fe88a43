"""Where messages that are pushed over HTTP carry their context. Pure functions.

Amazon SNS and EventBridge, Google Pub/Sub, CloudEvents (protocol §3). Names that come from a request become tags: they
are cut off at a length, and the edges kept are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import HEADER
from asyncdsm.integration.formats import aws

EXTENSION = HEADER.replace("-", "")
"""A CloudEvents extension attribute has no hyphens in its name."""
# Knative puts a prefix before the names of Kafka headers; older versions of it took the hyphens out, as is the rule.
_EXTENSIONS = (EXTENSION, f"kafkaheader{EXTENSION}", f"kafkaheader{HEADER}")

_LONGEST_NAME = 256
MOST_EVENTS = 1000
"""A longer batch of CloudEvents is not looked into: an event may have two bytes, and takes as long as any."""


class Pushed(NamedTuple):
    """A message that a request brought."""

    edge: Edge
    header: str | bytes | None = None
    """The context's base64 text."""
    broker_ns: int | None = None
    """When the message was published."""


# The parts of the JSON objects that are looked into: the rest is not even decoded.


class _PubSubMessage(msgspec.Struct):
    attributes: dict[str, str] = {}
    time: str = msgspec.field(default="", name="publishTime")


class _PubSub(msgspec.Struct):
    message: _PubSubMessage
    subscription: str = ""


def _sns(body: bytes) -> list[Pushed]:
    """A notification of SNS."""
    notification = msgspec.json.decode(body, type=dict[str, Any])
    header, _, broker_ns = aws.read_sns_notification(notification)
    return [Pushed(edge("sns", _if_text(notification.get("TopicArn")) or ""), header, broker_ns)]


def _pubsub(body: bytes) -> list[Pushed]:
    """A Pub/Sub message, wrapped, as Eventarc pushes it too."""
    push = msgspec.json.decode(body, type=_PubSub)
    header = push.message.attributes.get(HEADER)
    return [Pushed(edge("google-pubsub", push.subscription), header, aws.parse_time_ns(push.message.time))]


def _eventbridge(body: bytes) -> list[Pushed]:
    """An event of EventBridge, as it was put."""
    event = msgspec.json.decode(body, type=dict[str, Any])
    header, _, broker_ns = aws.read_eventbridge_event(event)
    return [Pushed(edge("eventbridge", _if_text(event.get("detail-type")) or ""), header, broker_ns)]


def _structured(body: bytes) -> list[Pushed]:
    return [cloud_event(msgspec.json.decode(body, type=dict[str, Any]))]


def _batch(body: bytes) -> list[Pushed]:
    events = msgspec.json.decode(body, type=list[msgspec.Raw])
    if len(events) > MOST_EVENTS:
        return []
    return [cloud_event(msgspec.json.decode(event, type=dict[str, Any])) for event in events]


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
    return Pushed(edge("cloudevents", kind or ""), _if_text(header), aws.parse_time_ns(time or ""))


@lru_cache(1024)
def edge(kind: str, topic: str = "") -> Edge:
    """Return the edge of consuming from a topic, as far as it is known."""
    return Edge("direction:in", f"type:{kind}", *([f"topic:{topic[:_LONGEST_NAME]}"] if topic else []))


def _if_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
