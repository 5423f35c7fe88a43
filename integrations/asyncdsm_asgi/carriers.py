"""Where messages that are pushed over HTTP carry their context. Pure functions.

Amazon SNS and EventBridge, Google Pub/Sub, CloudEvents (protocol §3). Names that come from a request become tags: they
are cut off at a length, and the cache of edges is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from asyncdsm.integration import HEADER, Edge, EdgeCache
from asyncdsm.integration.formats import aws

EXTENSION = HEADER.replace("-", "")
"""The context as an extension attribute of a CloudEvent, whose names have no hyphens."""
# Knative puts a prefix before the names of Kafka headers. Older versions of it remove the hyphens, which is the rule.
_EXTENSIONS = (EXTENSION, f"kafkaheader{EXTENSION}", f"kafkaheader{HEADER}")

LONGEST_NAME = 256
MOST_EVENTS = 1000
"""A longer batch of CloudEvents is not decoded: an event may have two bytes, and takes as long as any other."""


class PushedMessage(NamedTuple):
    """A message in a request."""

    edge: Edge
    header: str | bytes | None = None
    """The context's base64 text."""
    broker_ns: int | None = None
    """When the message was published, in nanoseconds since the epoch."""


# The parts of the JSON objects that are needed: the rest is not even decoded.


class _PubSubMessage(msgspec.Struct):
    attributes: dict[str, str] = {}
    time: str = msgspec.field(default="", name="publishTime")


class _PubSub(msgspec.Struct):
    message: _PubSubMessage
    subscription: str = ""


def _read_sns(body: bytes) -> list[PushedMessage]:
    """Read a notification of SNS."""
    notification = msgspec.json.decode(body, type=dict[str, Any])
    header, _, broker_ns = aws.read_sns_notification(notification)
    return [make_message("sns", notification.get("TopicArn"), header, broker_ns)]


def _read_pubsub(body: bytes) -> list[PushedMessage]:
    """Read a Pub/Sub message that is wrapped, as Eventarc pushes it too."""
    push = msgspec.json.decode(body, type=_PubSub)
    header, published = push.message.attributes.get(HEADER), aws.parse_time_ns(push.message.time)
    return [make_message("google-pubsub", push.subscription, header, published)]


def _read_eventbridge(body: bytes) -> list[PushedMessage]:
    """Read an event of EventBridge in its original form."""
    event = msgspec.json.decode(body, type=dict[str, Any])
    header, _, broker_ns = aws.read_eventbridge_event(event)
    return [make_message("eventbridge", event.get("detail-type"), header, broker_ns)]


def _read_structured(body: bytes) -> list[PushedMessage]:
    return [read_cloud_event(msgspec.json.decode(body, type=dict[str, Any]))]


def _read_batch(body: bytes) -> list[PushedMessage]:
    events = msgspec.json.decode(body, type=list[msgspec.Raw])
    if len(events) > MOST_EVENTS:
        return []
    return [read_cloud_event(msgspec.json.decode(event, type=dict[str, Any])) for event in events]


BODY_READERS: dict[str, Callable[[bytes], list[PushedMessage]]] = {
    "sns": _read_sns,
    "pubsub": _read_pubsub,
    "eventbridge": _read_eventbridge,
    "structured": _read_structured,
    "batch": _read_batch,
}
"""The body formats that are decoded. A reader raises MsgspecError for a body that does not have its format."""


def read_cloud_event(attributes: Mapping[str, Any]) -> PushedMessage:
    """Return the message of a CloudEvent, from its attributes. Its `type` becomes the topic."""
    header = next((attributes[name] for name in _EXTENSIONS if name in attributes), None)
    time = _string_or_none(attributes.get("time"))
    return make_message("cloudevents", attributes.get("type"), _string_or_none(header), aws.parse_time_ns(time or ""))


def make_message(
    kind: str, topic: Any = None, header: str | bytes | None = None, broker_ns: int | None = None
) -> PushedMessage:
    """Return a message of a kind of service. A topic that is not a string, or is empty, is unknown."""
    return PushedMessage(in_edges[kind, (_string_or_none(topic) or "")[:LONGEST_NAME]], header, broker_ns)


def _make_in_edge(key: tuple[str, str]) -> Edge:
    kind, topic = key
    return Edge("direction:in", f"type:{kind}", *([f"topic:{topic}"] if topic else []))


in_edges: EdgeCache[tuple[str, str]] = EdgeCache(_make_in_edge)
"""The edges of consuming, by kind of service and topic."""


def _string_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
