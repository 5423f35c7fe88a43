"""The headers of a Kafka message, as its clients have them: pairs of a name and a value. The plain core's functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asyncdsm.core.checkpoint import PendingProduce, begin_produce
from asyncdsm.core.context import HEADER, HEADER_FRAME, LEGACY_HEADER, legacy_text
from asyncdsm.core.edge import Edge

Header = tuple[str, bytes | None]


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


def begin_with_headers(edge: Edge, headers: Any, size: int, room: int | None) -> tuple[PendingProduce | None, Any]:
    """Return a message's checkpoint, for `finish_produce`, and the headers to send: a copy of `headers` with a context.

    `size` is that of the message without headers, in bytes; `room` what the message may have with them, None for one
    that must not carry a context. The headers are returned as they are if the context does not fit, or if there is no
    checkpoint: while nothing measures, where a layer above counts, and for headers that are not pairs.
    """
    try:
        kept, size = copy_headers(headers, size) if headers else ([], size)
    except (TypeError, ValueError):
        return None, headers
    # A context that the caller forwarded makes room for the new one, which is as long.
    fits = room is not None and (size + HEADER_FRAME * len(kept) <= room or len(kept) < len(headers or ()))
    pending = begin_produce(edge, size, len(HEADER) if fits else None)
    if pending is None or not fits:
        return pending, headers
    kept.append((HEADER, pending.header))
    return pending, kept


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
