"""Messages of AWS services: the context that they carry (protocol §3), and the edges that they pass (§4). No client.

Nothing here raises, whatever a message holds: a context that cannot be read is `MALFORMED`, and counted as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from asyncdsm.core import checkpoint
from asyncdsm.core.context import HEADER, LEGACY_HEADER, legacy_text
from asyncdsm.core.edge import Edge, EdgeCache
from asyncdsm.core.pathway import Pathway
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.facts import count_deliveries
from asyncdsm.integration.formats.json_context import (
    KEY,
    Members,
    find_object_text,
    parse_base64,
    parse_json,
    parse_members,
)

DETAIL_KEYS = (KEY, "_dsm")
"""The names of the context in the detail of an EventBridge event: Datadog documents both."""
MALFORMED: Literal[""] = ""

Header = str | bytes | None
"""The context's base64 text, MALFORMED, or None if there is no context."""

# The names of an attribute's value: in SQS, in SNS with raw delivery, in SNS without; the last two in Lambda events.
_VALUES = ("StringValue", "BinaryValue", "Value", "stringValue", "binaryValue")
_NS_PER_MS = 1_000_000
_LATEST_SECONDS = 1e12
_LONGEST_TIME = 16  # digits of milliseconds: enough for some 300,000 years

edges: EdgeCache[tuple[str, ...]] = EdgeCache(lambda key: _make_edge(*key))
"""The edges by direction ("in", "out"), type ("sqs") and topic, which may be followed by more tags.

The topic is the name of a queue, the ARN of a topic, the name or ARN of a stream, or the detail type of an event.
"""


def _make_edge(direction: str, typ: str, topic: str, *more: str) -> Edge:
    return Edge(f"direction:{direction}", f"topic:{topic}", f"type:{typ}", *more)


class MessageInfo(NamedTuple):
    """What a received message says about itself: the arguments of `checkpoint.consume` after the edge."""

    header: Header
    size: int | None = None
    """The bytes of body, key and attributes, if known."""
    broker_ns: int | None = None
    """When the service took the message."""


class UndatedMessageInfo(MessageInfo):
    """A message with a time that cannot be read."""


NOT_A_MESSAGE = MessageInfo(MALFORMED)
"""What an object is read as that should be a message, and is not."""

Time = int | Literal[""] | None
"""Nanoseconds since the epoch, MALFORMED, or None if there is no time."""


def consume_message(edge: Edge, info: MessageInfo) -> Pathway | None:
    """Record that a message was consumed, as `checkpoint.consume` does. A time that cannot be read is counted."""
    recorder = checkpoint.ensure_recorder()
    if recorder is not None and isinstance(info, UndatedMessageInfo):
        recorder.report_malformed(
            MalformedValueError(f"the time of a message cannot be read; its edge is {', '.join(edge.tags)}")
        )
    return checkpoint.consume(edge, *info)


def read_sqs_message(attributes: Any, body: Any, system: Any = None) -> MessageInfo:
    """Read a message of SQS. `system` are the attributes that SQS itself adds, such as `SentTimestamp`."""
    header = find_in_attributes(attributes)
    if header is None:
        header = find_in_body(body) if isinstance(body, str) else _none_if(body is None or isinstance(body, Mapping))
    if header is None and attributes and not isinstance(attributes, Mapping):
        header = MALFORMED
    sent = system.get("SentTimestamp") if isinstance(system, Mapping) else _none_if(system is None)
    return _make_info(header, byte_count(body) + attributes_size(attributes), _parse_milliseconds(sent))


def note_delivery(edge: Edge, attributes: Any) -> None:
    """Count a consumed message of SQS if its system attributes say that it was received before, or dead-lettered.

    They are there if the program asked for them, and in the events of Lambda.
    """
    if attributes and isinstance(attributes, Mapping):
        count, source = attributes.get("ApproximateReceiveCount"), attributes.get("DeadLetterQueueSourceArn")
        is_again = (
            isinstance(count, str) and count.isascii() and count.isdecimal() and count.lstrip("0") not in ("", "1")
        )
        count_deliveries(edge, redelivered=is_again, dead_lettered=bool(source) and isinstance(source, str))


def read_sns_notification(notification: Mapping[str, Any]) -> MessageInfo:
    """Read a notification, as SNS hands it to a Lambda function or posts it to an HTTP endpoint."""
    attributes, message = notification.get("MessageAttributes"), notification.get("Message")
    size = byte_count(message) + attributes_size(attributes)
    return _make_info(_find_in_notification(notification), size, _parse_time(notification.get("Timestamp")))


def read_kinesis_record(data: Any, partition_key: Any, arrival: Any) -> MessageInfo:
    """Read a record of Kinesis. `arrival` is when it came there: a datetime, or seconds since the epoch."""
    header = find_in_data(data) if isinstance(data, bytes) else _none_if(data is None or isinstance(data, Mapping))
    return _make_info(header, byte_count(data) + byte_count(partition_key), _parse_time(arrival))


def read_eventbridge_event(event: Mapping[str, Any]) -> MessageInfo:
    """Read an event of EventBridge. Its size is not known."""
    return _make_info(_find_in_detail(event.get("detail")), None, _parse_time(event.get("time")))


def find_in_attributes(attributes: Any) -> Header:
    """Return the context in the attributes of a message of SQS or SNS."""
    if not isinstance(attributes, Mapping) or KEY not in attributes:
        return None
    value = attribute_value(attributes[KEY])
    if not value:
        return MALFORMED
    carrier = parse_json(value)
    if carrier is None:  # a Binary attribute is base64 wherever it is passed on as a string
        carrier = parse_json(parse_base64(value))
    return _find_in_carrier(carrier)


def find_in_body(body: str) -> Header:
    """Return the context in the body of an SQS message, if SNS or EventBridge has put it there."""
    # Most bodies are the user's own, and are not parsed.
    document = parse_members(body) if any(key in body for key in DETAIL_KEYS) else None
    if document is None:
        return None
    if parse_json(document.get("Type")) == "Notification":
        names = ("MessageAttributes", "Message")
        return _find_in_notification({name: parse_json(document.get(name)) for name in names})
    return _find_in_members(parse_members(document.get("detail")), DETAIL_KEYS)


def find_in_data(data: bytes) -> Header:
    """Return the context in the data of a Kinesis record."""
    text = find_object_text(data)
    return _find_in_members(parse_members(text), (KEY,)) if text is not None and KEY.encode() in text else None


def attribute_value(attribute: Any) -> str | bytes | None:
    """Return the value of a message attribute, in the shape of any service."""
    if isinstance(attribute, Mapping):
        for name in _VALUES:
            value = attribute.get(name)
            if value and isinstance(value, str | bytes):
                return value
    return None


def attribute_pairs(attributes: Any) -> list[tuple[Any, str | bytes | None]]:
    """Return the names and values of the attributes of a message."""
    if not attributes or not isinstance(attributes, Mapping):
        return []
    return [(name, attribute_value(attribute)) for name, attribute in attributes.items()]


def attributes_size(attributes: Any) -> int:
    """Return the bytes of the attributes' names and values."""
    if not attributes or not isinstance(attributes, Mapping):
        return 0
    return sum(byte_count(name) + byte_count(attribute_value(value)) for name, value in attributes.items())


def byte_count(value: Any) -> int:
    """Return the length of a string in UTF-8, or of bytes; 0 for anything else."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    return len(value) if isinstance(value, bytes | bytearray) else 0


def parse_time_ns(text: Any) -> int | None:
    """Return the nanoseconds since the epoch of a time in ISO 8601, in UTC by default; None if it cannot be read."""
    time = _parse_time(text) if isinstance(text, str) else None
    return time if isinstance(time, int) else None


@lru_cache(4096)
def queue_name(address: str) -> str:
    """Return the name of a queue, given its URL or its ARN: the last part."""
    return address.replace(":", "/").rstrip("/").rpartition("/")[2]


def _make_info(header: Header, size: int | None, time: Time) -> MessageInfo:
    return UndatedMessageInfo(header, size) if time == MALFORMED else MessageInfo(header, size, time)


def _parse_time(time: Any) -> Time:
    """Return the nanoseconds of a datetime, of ISO 8601 or of seconds; None for None, MALFORMED for anything else.

    A time without a zone is in UTC. A time that is not after 1970 is malformed.
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


def _parse_milliseconds(time: Any) -> Time:
    """Return the nanoseconds of milliseconds in a string, or of a datetime, which pydantic's models have."""
    if isinstance(time, str) and time.isascii() and time.isdecimal() and len(time) < _LONGEST_TIME:
        return int(time) * _NS_PER_MS
    return _parse_time(time) if isinstance(time, datetime) else _none_if(time is None)


def _none_if(is_absent: bool) -> Literal[""] | None:
    """Return None for a value that is not there, MALFORMED for one that is there and cannot be read."""
    return None if is_absent else MALFORMED


def _find_in_notification(notification: Mapping[str, Any]) -> Header:
    header, message = find_in_attributes(notification.get("MessageAttributes")), notification.get("Message")
    if header is None and isinstance(message, str) and any(key in message for key in DETAIL_KEYS):
        event = parse_members(message)  # an event that EventBridge sent to SNS
        return None if event is None else _find_in_members(parse_members(event.get("detail")), DETAIL_KEYS)
    return header


def _find_in_detail(detail: Any) -> Header:
    if not isinstance(detail, Mapping):
        return None
    return _choose_header(_find_in_carrier(detail[key]) for key in DETAIL_KEYS if key in detail)


def _find_in_members(members: Members | None, keys: Iterable[str]) -> Header:
    if members is None:
        return None
    return _choose_header(_find_in_carrier(parse_json(members[key])) for key in keys if key in members)


def _choose_header(headers: Iterable[Header]) -> Header:
    """Return the first context that can be read; or MALFORMED if none can, or None if there is none."""
    present: list[str | bytes] = [header for header in headers if header is not None]
    readable = [header for header in present if header]
    return readable[0] if readable else _none_if(not present)


def _find_in_carrier(carrier: Any) -> Header:
    """Return the context in a `_datadog` object. An object without one may be that of another tracer."""
    if not isinstance(carrier, Mapping):
        return MALFORMED
    text = carrier.get(HEADER)
    if text is None:
        legacy = carrier.get(LEGACY_HEADER)
        text = legacy_text(legacy) if isinstance(legacy, str) else legacy
    return text if text is None or isinstance(text, str | bytes) else MALFORMED
