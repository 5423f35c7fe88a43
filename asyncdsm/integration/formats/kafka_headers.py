"""The headers of a Kafka message: by the native core, or in Python. `core/plain/headers.py` says what each does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncdsm.core.checkpoint import PendingProduce, begin_produce
from asyncdsm.core.context import HEADER
from asyncdsm.core.edge import Edge
from asyncdsm.core.implementation import native
from asyncdsm.core.plain.headers import HEADER_FRAME, Header, size_of

if TYPE_CHECKING or native is None:
    from asyncdsm.core.plain.headers import copy_headers, scan_headers
else:
    copy_headers = native.copy_headers
    scan_headers = native.scan_headers

__all__ = ["Header", "begin_with_headers", "copy_headers", "scan_headers", "size_of"]


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


if not TYPE_CHECKING and native is not None:
    begin_with_headers = native.begin_with_headers
