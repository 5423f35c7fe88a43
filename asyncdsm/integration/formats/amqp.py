"""AMQP messages, whichever client carries them: headers and their sizes, edges, and the queues that are left out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import nan
from typing import Any

from asyncdsm._internal.bounds import make_room
from asyncdsm.core.checkpoint import PendingProduce, begin_produce, consume, incoming_pathway, record_not_propagated
from asyncdsm.core.context import HEADER, LEGACY_HEADER, legacy_text
from asyncdsm.core.edge import Edge, EdgeCache
from asyncdsm.core.extractors import RABBITMQ_CONSUME, RABBITMQ_PRODUCE, extract_from_pairs
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.facts import count_deliveries

RABBITMQ = "rabbitmq"
"""The `type:` of the edges of an AMQP broker."""
PATHWAY_SLOT = "_headers"
"""The slot of aio-pika's message class that holds the pathway of a consumed message. aio-pika does not use it."""
DEATHS = "x-death"
"""The header in which RabbitMQ notes each queue where a message was dead-lettered."""
MAX_HEADERS_BYTES = (128 - 4) << 10
"""The size that a headers table may have. It must fit one frame, 128 KiB unless the server sets less, together with
the other properties and the context."""

# Celery's events and remote control; queues named by the server (amq.gen-…, amq.rabbitmq.reply-to), by aio-pika
# (amq_…, before 9.1 amq_0x…) or by a bare UUID, which is how callers, Celery among them, name the queues where they
# wait for replies.
_HEX = "[0-9a-f]"
_INTERNAL_QUEUE = re.compile(
    rf"celeryev(\..*)?|.*\.pidbox|amq\..*|amq_(0x{_HEX}{{1,32}}|{_HEX}{{32}})|{_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}}",
    re.DOTALL,
)
_INTERNAL_EXCHANGE = re.compile(r"celeryev|.*\.pidbox", re.DOTALL)
_MALFORMED_TIME = nan  # a checkpoint counts it as malformed
_LATEST_SECONDS = 1e11  # a number beyond is no time in seconds: it is in milliseconds, or nonsense
_KEY_BYTES = len(HEADER)
_FIELD_BYTES = 6  # what the wire adds to an entry: the length of its name, a type, the length of its value
_NUMBER_BYTES = 8
_MAX_REPLY_QUEUES = 4096
_reply_queues: dict[str, None] = {}


def _make_out_edge(key: tuple[str, str | bool, str]) -> Edge:
    exchange, routing_key, type_ = key
    if exchange == "":
        return Edge("direction:out", f"topic:{to_wire_name(routing_key)}", f"type:{type_}")
    has_key = "true" if routing_key else "false"
    return Edge("direction:out", f"exchange:{to_wire_name(exchange)}", f"has_routing_key:{has_key}", f"type:{type_}")


def _make_in_edge(key: tuple[str, str]) -> Edge:
    queue, type_ = key
    return Edge("direction:in", f"topic:{to_wire_name(queue)}", f"type:{type_}")


out_edges: EdgeCache[tuple[str, str | bool, str]] = EdgeCache(_make_out_edge)
"""The edges of publishing (protocol §4), by exchange, routing key and type. For an exchange other than the default one,
the routing key is a bool: whether there is one."""
in_edges: EdgeCache[tuple[str, str]] = EdgeCache(_make_in_edge)
"""The edges of consuming, by queue and type."""


def begin_publish(edge: Edge, headers: dict[str, Any], size: int, *, is_limited: bool = True) -> PendingProduce | None:
    """Put the context into `headers`, a copy of the caller's, and return the checkpoint for `finish_produce`. **Hot**.

    `size` is that of the body in bytes; the headers' is added. If `is_limited`, a table that is nearly too large for a
    frame is left without the context, which is counted. Returns None while nothing measures, and where a layer above
    has made the checkpoint: the caller's own headers are sent then.
    """
    fits = True
    if headers:
        headers.pop(HEADER, None)
        headers_bytes = count_headers_bytes(headers)
        size += headers_bytes
        # A table that is too large would end the connection.
        fits = not is_limited or headers_bytes + _FIELD_BYTES * len(headers) < MAX_HEADERS_BYTES
    pending = begin_produce(edge, size, _KEY_BYTES if fits else None)
    if pending is None:
        return None
    if fits:
        headers[HEADER] = pending.header.decode()
    else:
        record_not_propagated()
    if RABBITMQ_PRODUCE:
        extract_from_pairs(RABBITMQ_PRODUCE, headers.items())
    return pending


def record_consume(
    edge: Edge, headers: dict[str, Any] | None, body: Any, timestamp: Any, is_redelivered: Any = False
) -> Pathway | None:
    """Record that a message was consumed, make its pathway current, and return it. **Hot**.

    `timestamp` is the AMQP property, `is_redelivered` what the broker says of this delivery. A pathway that begins with
    this message begins at that time. Returns None while nothing measures.
    """
    header, size = None, count_body_bytes(body)
    if headers:
        header = find_context(headers)
        size = None if size is None else size + count_headers_bytes(headers)
    pathway = consume(edge, header, size, read_timestamp(timestamp) if header is None else None)
    if pathway is not None and (is_redelivered is True or (headers and DEATHS in headers)):
        note_delivery(edge, headers, is_redelivered)
    if RABBITMQ_CONSUME and pathway is not None:
        extract_from_pairs(RABBITMQ_CONSUME, headers.items() if headers else ())
    return pathway


def note_delivery(edge: Edge, headers: Any, is_redelivered: Any) -> None:
    """Count a consumed message if it says that it was delivered before, or that it was dead-lettered."""
    is_dead_lettered = isinstance(headers, Mapping) and DEATHS in headers
    count_deliveries(edge, redelivered=is_redelivered is True, dead_lettered=is_dead_lettered)


def read_pathway(headers: dict[str, Any] | None, timestamp: Any) -> Pathway | None:
    """Return the pathway that a message brings, and record nothing. None while nothing measures.

    For a message that was consumed before its client was followed: it does not say from which queue, so the pathway
    continues without this hop.
    """
    return incoming_pathway(find_context(headers or {}), read_timestamp(timestamp))


@lru_cache(4096)
def is_internal_queue(name: str) -> bool:
    """Say whether a queue serves a library, or lives only as long as one process.

    It is not part of a pipeline: its name would be a new topic at each start.
    """
    return _INTERNAL_QUEUE.fullmatch(name) is not None


@lru_cache(4096)
def is_internal_target(exchange: str, routing_key: str) -> bool:
    """Say whether a message is published to an internal queue, or to an exchange that serves a library."""
    if exchange == "":
        return is_internal_queue(routing_key)
    return _INTERNAL_EXCHANGE.fullmatch(exchange) is not None


def note_reply_queue(name: str) -> None:
    """Remember a queue that a message of this process names as the one for replies (`reply_to`)."""
    if name not in _reply_queues:
        make_room(_reply_queues, _MAX_REPLY_QUEUES)
        _reply_queues[name] = None


def is_left_out(queue: str, is_exclusive: Any) -> bool:
    """Say whether what is consumed from a queue is not counted: it is internal, or one for replies to this process.

    A queue for replies is one that only this process may read, and that it has named as `reply_to`. A reply ends a
    request. It is not the next hop of a pathway, which would grow with every request.
    """
    return is_internal_queue(queue) or (is_exclusive is True and queue in _reply_queues)


def find_context(headers: dict[str, Any]) -> str | bytes | None:
    """Return the context of a headers table, None without one. A value that is not a string is returned as "".

    The empty string cannot be read as a context, so a checkpoint counts it as malformed.
    """
    header = headers.get(HEADER)
    if type(header) is str:  # as this library and the tracers send it
        return header
    if HEADER in headers:
        return _to_text(header)
    if LEGACY_HEADER in headers:
        return legacy_text(_to_text(headers[LEGACY_HEADER]))
    return None


def read_timestamp(timestamp: Any) -> Any:
    """Return a message's `timestamp` in nanoseconds. None without one, NaN for a value that is not a time.

    The property has whole seconds. Clients give a number or a datetime, which is in UTC if it has no zone. A checkpoint
    counts NaN as malformed.
    """
    if timestamp is None:
        return None
    if isinstance(timestamp, datetime):
        timestamp = (timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)).timestamp()
    is_time = type(timestamp) in (int, float) and 0 < timestamp < _LATEST_SECONDS  # not a bool, not NaN
    return int(timestamp) * 1_000_000_000 if is_time else _MALFORMED_TIME


def count_body_bytes(body: Any) -> int | None:
    """Return the bytes of a body; None for an object that has no bytes to count."""
    if type(body) is bytes:
        return len(body)
    if isinstance(body, str):
        return len(body) if body.isascii() else len(body.encode("utf-8", "surrogatepass"))
    if body is None:
        return 0
    return body.nbytes if isinstance(body, memoryview) else len(body) if isinstance(body, bytes | bytearray) else None


def count_headers_bytes(headers: dict[str, Any]) -> int:
    """Return the bytes of a table's names and values. A number or a time counts as eight."""
    size = 0
    for name, value in headers.items():
        size += len(name) if type(name) is str else _count_value_bytes(name)
        size += len(value) if type(value) is str and value.isascii() else _count_value_bytes(value)
    return size


def to_wire_name(name: Any) -> str:
    """Return a name as the string that goes over the wire: the value of a string enum's member, bytes decoded."""
    if type(name) is str:
        return name
    if isinstance(name, str):
        return str.__str__(name)
    if isinstance(name, bytes | bytearray):
        return name.decode("utf-8", "replace")
    return "" if name is None else str(name)


def _to_text(value: Any) -> str | bytes:
    return bytes(value) if isinstance(value, bytearray) else value if isinstance(value, str | bytes) else ""


def _count_value_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes | bytearray):
        return len(value)
    if isinstance(value, dict):
        return count_headers_bytes(value)
    if isinstance(value, list | tuple):
        return sum(map(_count_value_bytes, value))
    return 0 if value is None else _NUMBER_BYTES
