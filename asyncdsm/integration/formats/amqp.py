"""What AMQP's messages look like, whichever client carries them: headers, sizes, and the edges they pass."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from math import nan
from typing import Any

from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import HEADER, LEGACY_HEADER, legacy_text

RABBITMQ = "rabbitmq"
PATHWAY_SLOT = "_headers"
"""Where a consumed message of aio-pika has its pathway: a slot of its class that aio-pika does not use."""

KEY_BYTES = len(HEADER)
MOST_BYTES = (128 - 4) << 10
"""A table must fit one frame, 128 KiB unless the server says less, with the other properties and our context."""
# Celery's events and remote control; queues named by the server (amq.gen-…, amq.rabbitmq.reply-to), by aio-pika
# (amq_…) or by a bare UUID, as callers name those at which they wait for replies, Celery among them.
_HEX = "[0-9a-f]"
_INTERNAL_QUEUE = re.compile(
    rf"celeryev(\..*)?|.*\.pidbox|amq\..*|amq_{_HEX}{{32}}|{_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}}", re.DOTALL
)
_INTERNAL_EXCHANGE = re.compile(r"celeryev|.*\.pidbox", re.DOTALL)
MALFORMED_TIME = nan
"""What a checkpoint counts as malformed."""
_LATEST_SECONDS = 1e11
"""A time beyond is none: it is milliseconds, or nonsense."""
_reply_queues: dict[str, None] = {}
_MOST_REPLY_QUEUES = 4096
_FIELD_BYTES = 6
"""What the wire adds to a text: the length of its name, a type, its own length."""
_NUMBER_BYTES = 8


# Bounded: the routing keys of replies are the names of queues that live as long as their caller.
@lru_cache(4096)
def out_edge(exchange: str, routing_key: str | bool, type_: str = RABBITMQ) -> Edge:
    """Return the edge of publishing: by routing key to the default exchange, else by exchange (protocol §4)."""
    if exchange == "":
        return Edge("direction:out", f"topic:{plain(routing_key)}", f"type:{type_}")
    has_key = "true" if routing_key else "false"
    return Edge("direction:out", f"exchange:{plain(exchange)}", f"has_routing_key:{has_key}", f"type:{type_}")


@lru_cache(4096)
def in_edge(queue: str, type_: str = RABBITMQ) -> Edge:
    """Return the edge of consuming from a queue."""
    return Edge("direction:in", f"topic:{plain(queue)}", f"type:{type_}")


@lru_cache(4096)
def is_internal_queue(name: str) -> bool:
    """Say whether a queue serves a library, or lives only as long as one process: it is no edge of a pipeline.

    Its name would be a new topic at each start.
    """
    return _INTERNAL_QUEUE.fullmatch(name) is not None


@lru_cache(4096)
def is_internal(exchange: str, routing_key: str) -> bool:
    """Say whether what is published goes to such a queue, or to an exchange of a library's."""
    if exchange == "":
        return is_internal_queue(routing_key)
    return _INTERNAL_EXCHANGE.fullmatch(exchange) is not None


def note_reply_queue(name: str) -> None:
    """Note the queue that a message which this process sends names as the one for replies (`reply_to`)."""
    if name not in _reply_queues:
        if len(_reply_queues) >= _MOST_REPLY_QUEUES:
            _reply_queues.pop(next(iter(_reply_queues), ""), None)
        _reply_queues[name] = None


def is_reply_queue(name: str, *, is_exclusive: Any) -> bool:
    """Say whether a queue is one at which this process waits for replies: only it may read there, and it has said so.

    Such a reply is the end of a request, not the next hop of a pathway, which would grow with every request.
    """
    return is_exclusive is True and name in _reply_queues


def context_in(headers: dict[str, Any]) -> str | bytes | None:
    """Return the context's text; None without one. What is no text at all cannot be read: it is malformed."""
    if HEADER in headers:
        return _text(headers[HEADER])
    if LEGACY_HEADER in headers:
        return legacy_text(_text(headers[LEGACY_HEADER]))
    return None


def published_ns(published: Any) -> Any:
    """Return the publisher's time of a message in nanoseconds; None without one, `MALFORMED_TIME` for what is no time.

    AMQP's property `timestamp` has whole seconds; clients give a number, or a datetime, of UTC if it does not say so.
    """
    if published is None:
        return None
    if isinstance(published, datetime):
        published = (published if published.tzinfo else published.replace(tzinfo=UTC)).timestamp()
    is_time = type(published) in (int, float) and 0 < published < _LATEST_SECONDS  # not a bool; no NaN
    return int(published) * 1_000_000_000 if is_time else MALFORMED_TIME


def body_bytes(body: Any) -> int | None:
    """Return the bytes of a body; None for what has no bytes to count."""
    if isinstance(body, str):
        return len(body) if body.isascii() else len(body.encode("utf-8", "surrogatepass"))
    if body is None:
        return 0
    return body.nbytes if isinstance(body, memoryview) else len(body) if isinstance(body, bytes | bytearray) else None


def bytes_of(headers: dict[str, Any]) -> int:
    """Return the bytes of names and values; a number or a time counts as eight."""
    size = 0
    for name, value in headers.items():
        size += len(name) if type(name) is str else _value_bytes(name)
        size += len(value) if type(value) is str and value.isascii() else _value_bytes(value)
    return size


def plain(name: Any) -> str:
    """Return a name as a string, as it goes over the wire: the value of a string enum's member, bytes decoded."""
    if type(name) is str:
        return name
    if isinstance(name, str):
        return str.__str__(name)
    if isinstance(name, bytes | bytearray):
        return name.decode("utf-8", "replace")
    return "" if name is None else str(name)


def has_room(headers: dict[str, Any], size: int) -> bool:
    """Say whether a table of so many bytes takes one more entry: one that is too large ends the connection."""
    return size + _FIELD_BYTES * len(headers) < MOST_BYTES


def _text(value: Any) -> str | bytes:
    return bytes(value) if isinstance(value, bytearray) else value if isinstance(value, str | bytes) else ""


def _value_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, bytes | bytearray):
        return len(value)
    if isinstance(value, dict):
        return bytes_of(value)
    if isinstance(value, list | tuple):
        return sum(map(_value_bytes, value))
    return 0 if value is None else _NUMBER_BYTES
