"""The headers of a Kafka message, as its clients have them: pairs of a name and a value. The plain core's functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncdsm.core.context import HEADER, LEGACY_HEADER, legacy_text

Header = tuple[str, bytes | None]

HEADER_FRAME = 8
"""Bytes. What Kafka writes beside the name and the value of a header is less."""


def scan_headers(headers: Iterable[Header], size: int) -> tuple[Any, int]:
    """Return the context among a consumed message's headers, or None, and `size` plus the bytes of all headers.

    Raises any error for headers that are not pairs of a string and bytes.
    """
    header: Any = None
    for name, value in headers:
        size += (len(name) if name.isascii() else len(name.encode())) + (len(value) if value else 0)
        if name == HEADER:
            header = value
        elif name == LEGACY_HEADER and header is None and value is not None:
            header = legacy_text(value)
    return header, size


def copy_headers(headers: Iterable[Header], size: int) -> tuple[list[Header], int]:
    """Return a list of the headers to send, and `size` plus their bytes.

    A context that the caller forwarded is left out: the message gets its own. Raises TypeError or ValueError for
    headers that are not pairs.
    """
    kept: list[Header] = []
    for header in headers:
        name, value = header
        if name != HEADER:
            kept.append(header)
            size += size_of(name) + size_of(value)
    return kept, size


def size_of(part: Any) -> int:
    """Return the bytes of a key, a value or a part of a header on the wire; 0 for a type that no client sends."""
    if isinstance(part, str) and not part.isascii():
        part = part.encode()
    return len(part) if isinstance(part, (bytes, str)) else 0
