"""What a consume checkpoint needs to know of a message, whichever client received it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from asyncdsm.integration import Edge


class ReadMessage(NamedTuple):
    """The arguments of a consume checkpoint, and what the message says of its delivery."""

    edge: Edge
    header: Any
    size: int
    broker_ns: Any
    is_redelivered: bool = False
    is_dead_lettered: bool = False


def headers_bytes(headers: Iterable[tuple[str, Any]]) -> int:
    """Return how many bytes headers have, of those that are strings or bytes."""
    return sum(length_or_zero(name) + length_or_zero(value) for name, value in headers)


def length_or_zero(value: Any) -> int:
    """Return the bytes of a string or of bytes; 0 for anything else."""
    if isinstance(value, str) and not value.isascii():
        value = value.encode()
    return len(value) if isinstance(value, (str, bytes, bytearray)) else 0
