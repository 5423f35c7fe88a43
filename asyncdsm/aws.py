"""Where a context stands in what AWS delivers (protocol §3), and the edges that it passes (§4). Shapes, no client.

Whatever a message holds, nothing here raises: a context that cannot be read is `MALFORMED`, which counts as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from asyncdsm.edge import Edge
from asyncdsm.json_text import Members, decoded, from_base64, members, object_text
from asyncdsm.pathway import HEADER, LEGACY_HEADER, legacy_text

KEY = "_datadog"
MALFORMED = ""

Header = str | bytes | None
"""The context's base64 text, MALFORMED, or None where there is none."""

_VALUES = ("StringValue", "BinaryValue", "Value", "stringValue", "binaryValue")
"""Where an attribute has its value: SQS, SNS raw, SNS not raw; the last two in events that Lambda is given."""
_NS_PER_MS = 1_000_000
_LATEST_SECONDS = 1e12
_LONGEST_TIME = 16
"""Digits of milliseconds, with room for some 300,000 years."""


class Arrival(NamedTuple):
    """What a received message says of itself, for `checkpoint.consume`; its edge is its receiver's to know."""

    header: Header
    size: int | None = None
    broker_ns: int | None = None


def queued(attributes: Any, body: Any, system: Any = None) -> Arrival:
    """Read a message from SQS: its attributes, its body, and what SQS itself says of it."""
    header = in_attributes(attributes)
    if header is None and isinstance(body, str):
        header = in_body(body)
    sent = system.get("SentTimestamp") if isinstance(system, Mapping) else None
    return Arrival(header, byte_count(body) + attributes_size(attributes), _ns_of_ms(sent))


def notified(notification: Mapping[str, Any]) -> Arrival:
    """Read what SNS hands to a function or an endpoint of HTTP."""
    attributes, message = notification.get("MessageAttributes"), notification.get("Message")
    size = byte_count(message) + attributes_size(attributes)
    return Arrival(_in_notification(notification), size, time_ns_of(notification.get("Timestamp")))


def streamed(data: bytes, partition_key: Any, arrived: Any) -> Arrival:
    """Read a record of Kinesis; `arrived` is its time of arrival there, in seconds since the epoch."""
    is_time = isinstance(arrived, int | float) and 0 < arrived < _LATEST_SECONDS
    return Arrival(in_data(data), len(data) + byte_count(partition_key), int(arrived * 1e9) if is_time else None)


def happened(event: Mapping[str, Any]) -> Arrival:
    """Read an event of EventBridge."""
    return Arrival(_in_event(event), None, time_ns_of(event.get("time")))


def in_attributes(attributes: Any) -> Header:
    """Look among the attributes of a message, of SQS or SNS."""
    if not isinstance(attributes, Mapping) or KEY not in attributes:
        return None
    value = attribute_value(attributes[KEY])
    if not value:
        return MALFORMED
    carrier = decoded(value)
    if carrier is None:  # Binary is base64 wherever it passes as text
        carrier = decoded(from_base64(value))
    return _in_carrier(carrier)


def in_body(body: str) -> Header:
    """Look in the body of a message of SQS, which may be what SNS or EventBridge has put there."""
    document = members(body) if KEY in body else None  # most bodies are the user's own: not read
    if document is None:
        return None
    if decoded(document.get("Type")) == "Notification":
        return _in_notification({name: decoded(document.get(name)) for name in ("MessageAttributes", "Message")})
    return _in_member(members(document.get("detail")))


def in_data(data: bytes) -> Header:
    """Look in the data of a Kinesis record."""
    text = object_text(data)
    return _in_member(members(text)) if text is not None and KEY.encode() in text else None


def attribute_value(attribute: Any) -> str | bytes | None:
    """Return the value of a message attribute, in whichever service's shape."""
    if isinstance(attribute, Mapping):
        for name in _VALUES:
            value = attribute.get(name)
            if value and isinstance(value, str | bytes):
                return value
    return None


def attributes_size(attributes: Any) -> int:
    """Return the bytes of the attributes' names and values."""
    if not attributes or not isinstance(attributes, Mapping):
        return 0
    return sum(byte_count(name) + byte_count(attribute_value(value)) for name, value in attributes.items())


def byte_count(value: Any) -> int:
    """Return the bytes of a text or of bytes; anything else has none."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    return len(value) if isinstance(value, bytes | bytearray) else 0


def time_ns_of(text: Any) -> int | None:
    """Read a time in ISO 8601, in UTC unless it says otherwise; None where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e9)
    except (ValueError, TypeError, OverflowError):
        return None


def _ns_of_ms(text: Any) -> int | None:
    is_number = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < _LONGEST_TIME
    return int(text) * _NS_PER_MS if is_number else None


@lru_cache(4096)
def edge(direction: str, typ: str, topic: str, *more: str) -> Edge:
    """Return the edge of a queue, a topic, a stream or a kind of event."""
    return Edge(f"direction:{direction}", f"topic:{topic}", f"type:{typ}", *more)


@lru_cache(4096)
def queue_name(address: str) -> str:
    """Return the name of a queue: the last part of its URL, or of its ARN."""
    return address.replace(":", "/").rstrip("/").rpartition("/")[2]


def _in_notification(notification: Mapping[str, Any]) -> Header:
    header, message = in_attributes(notification.get("MessageAttributes")), notification.get("Message")
    if header is None and isinstance(message, str) and KEY in message:  # from EventBridge by way of SNS
        event = members(message)
        return None if event is None else _in_member(members(event.get("detail")))
    return header


def _in_event(event: Mapping[str, Any]) -> Header:
    detail = event.get("detail")
    return _in_carrier(detail[KEY]) if isinstance(detail, Mapping) and KEY in detail else None


def _in_member(found: Members | None) -> Header:
    return None if found is None or KEY not in found else _in_carrier(decoded(found[KEY]))


def _in_carrier(carrier: Any) -> Header:
    """Read the `_datadog` object; without our key it is another tracer's."""
    if not isinstance(carrier, Mapping):
        return MALFORMED
    text = carrier.get(HEADER)
    if text is None:
        legacy = carrier.get(LEGACY_HEADER)
        text = legacy_text(legacy) if isinstance(legacy, str) else legacy
    return text if text is None or isinstance(text, str | bytes) else MALFORMED
