"""What AMQP's messages look like, whichever client carries them: headers, sizes, and the edges they pass."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from asyncdsm.edge import Edge
from asyncdsm.pathway import HEADER, LEGACY_HEADER, legacy_text

RABBITMQ = "rabbitmq"

KEY_BYTES = len(HEADER)
MOST_BYTES = (128 - 4) << 10
"""A table must fit one frame, 128 KiB unless the server says less, with the other properties and our context."""
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


def context_in(headers: dict[str, Any]) -> str | bytes | None:
    """Return the context's text; None without one. What is no text at all cannot be read: it is malformed."""
    if HEADER in headers:
        return _text(headers[HEADER])
    if LEGACY_HEADER in headers:
        return legacy_text(_text(headers[LEGACY_HEADER]))
    return None


def bytes_of(headers: dict[str, Any]) -> int:
    """Return the bytes of names and values; a number or a time counts as eight."""
    size = 0
    for name, value in headers.items():
        size += len(name) + (len(value) if type(value) is str and value.isascii() else _value_bytes(value))
    return size


def plain(name: Any) -> str:
    """Return a name as it goes over the wire: the value of an enum's member that is a text."""
    return str.__str__(name) if isinstance(name, str) else str(name)


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
    if isinstance(value, list):
        return sum(map(_value_bytes, value))
    return 0 if value is None else _NUMBER_BYTES
