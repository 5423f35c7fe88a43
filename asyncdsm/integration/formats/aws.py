"""Where a context stands in what AWS delivers (protocol §3), and the edges that it passes (§4). Shapes, no client.

Whatever a message holds, nothing here raises: a context that cannot be read is `MALFORMED`, which counts as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import HEADER, LEGACY_HEADER, Context, legacy_text
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.formats.json_context import Members, decoded, from_base64, members, object_text

KEY = "_datadog"
DETAIL_KEYS = (KEY, "_dsm")
# Where a context is in the detail of an event of EventBridge: Datadog documents both.
MALFORMED: Literal[""] = ""

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


class MisdatedArrival(Arrival):
    """A message whose service says a time that could not be read."""


UNREADABLE = Arrival(MALFORMED)
"""What is no message at all."""

Time = int | Literal[""] | None
"""Nanoseconds since the epoch, MALFORMED, or None where there is none."""


def consume(edge: Edge, arrival: Arrival) -> Context | None:
    """Record that a message was consumed, as `checkpoint.consume` does; a time that could not be read is counted."""
    aggregator = checkpoint.ensure_recorder()
    if aggregator is not None and isinstance(arrival, MisdatedArrival):
        aggregator.report_malformed(MalformedValueError(f"the time of a message that passed {', '.join(edge.tags)}"))
    return checkpoint.consume(edge, *arrival)


def queued(attributes: Any, body: Any, system: Any = None) -> Arrival:
    """Read a message from SQS: its attributes, its body, and what SQS itself says of it."""
    header = in_attributes(attributes)
    if header is None:
        header = in_body(body) if isinstance(body, str) else _none_if(body is None or isinstance(body, Mapping))
    if header is None and attributes and not isinstance(attributes, Mapping):
        header = MALFORMED
    sent = system.get("SentTimestamp") if isinstance(system, Mapping) else _none_if(system is None)
    return _dated(header, byte_count(body) + attributes_size(attributes), _ns_of_ms(sent))


def notified(notification: Mapping[str, Any]) -> Arrival:
    """Read what SNS hands to a function or an endpoint of HTTP."""
    attributes, message = notification.get("MessageAttributes"), notification.get("Message")
    size = byte_count(message) + attributes_size(attributes)
    return _dated(_in_notification(notification), size, _ns_of_time(notification.get("Timestamp")))


def streamed(data: Any, partition_key: Any, arrived: Any) -> Arrival:
    """Read a record of Kinesis; `arrived` is its time of arrival there, a datetime or seconds since the epoch."""
    header = in_data(data) if isinstance(data, bytes) else _none_if(data is None or isinstance(data, Mapping))
    return _dated(header, byte_count(data) + byte_count(partition_key), _ns_of_time(arrived))


def happened(event: Mapping[str, Any]) -> Arrival:
    """Read an event of EventBridge."""
    return _dated(_in_detail(event.get("detail")), None, _ns_of_time(event.get("time")))


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
    # Most bodies are the user's own: they are not read.
    document = members(body) if any(key in body for key in DETAIL_KEYS) else None
    if document is None:
        return None
    if decoded(document.get("Type")) == "Notification":
        return _in_notification({name: decoded(document.get(name)) for name in ("MessageAttributes", "Message")})
    return _in_members(members(document.get("detail")), DETAIL_KEYS)


def in_data(data: bytes) -> Header:
    """Look in the data of a Kinesis record."""
    text = object_text(data)
    return _in_members(members(text), (KEY,)) if text is not None and KEY.encode() in text else None


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
    time = _ns_of_time(text) if isinstance(text, str) else None
    return time if isinstance(time, int) else None


def _dated(header: Header, size: int | None, time: Time) -> Arrival:
    return MisdatedArrival(header, size) if time == MALFORMED else Arrival(header, size, time)


def _ns_of_time(time: Any) -> Time:
    """Return the nanoseconds of a datetime, of ISO 8601 or of seconds; None for None, MALFORMED for anything else.

    A time without a zone is in UTC. What is not after 1970 is no time of a message.
    """
    try:
        if isinstance(time, str):
            time = datetime.fromisoformat(time)
        if isinstance(time, datetime):
            time = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        is_seconds = isinstance(time, int | float) and not isinstance(time, bool) and 0 < time < _LATEST_SECONDS
        return int(time * 1e9) if is_seconds else _none_if(time is None)
    except (ValueError, OverflowError, OSError):
        return MALFORMED


def _ns_of_ms(time: Any) -> Time:
    """Return the nanoseconds of milliseconds in a string, or of a datetime, as pydantic's models have."""
    if isinstance(time, str) and time.isascii() and time.isdecimal() and len(time) < _LONGEST_TIME:
        return int(time) * _NS_PER_MS
    return _ns_of_time(time) if isinstance(time, datetime) else _none_if(time is None)


def _none_if(is_absent: bool) -> Literal[""] | None:
    """Return None for what is not there, MALFORMED for what is there and cannot be read."""
    return None if is_absent else MALFORMED


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
    if header is None and isinstance(message, str) and any(key in message for key in DETAIL_KEYS):
        event = members(message)  # from EventBridge by way of SNS
        return None if event is None else _in_members(members(event.get("detail")), DETAIL_KEYS)
    return header


def _in_detail(detail: Any) -> Header:
    if not isinstance(detail, Mapping):
        return None
    return _first_of(_in_carrier(detail[key]) for key in DETAIL_KEYS if key in detail)


def _in_members(found: Members | None, keys: Iterable[str]) -> Header:
    if found is None:
        return None
    return _first_of(_in_carrier(decoded(found[key])) for key in keys if key in found)


def _first_of(headers: Iterable[Header]) -> Header:
    """Return the first context that can be read; without one MALFORMED, if something was there, else None."""
    found: list[str | bytes] = [header for header in headers if header is not None]
    readable = [header for header in found if header]
    return readable[0] if readable else _none_if(not found)


def _in_carrier(carrier: Any) -> Header:
    """Read the `_datadog` object; without our key it is another tracer's."""
    if not isinstance(carrier, Mapping):
        return MALFORMED
    text = carrier.get(HEADER)
    if text is None:
        legacy = carrier.get(LEGACY_HEADER)
        text = legacy_text(legacy) if isinstance(legacy, str) else legacy
    return text if text is None or isinstance(text, str | bytes) else MALFORMED
