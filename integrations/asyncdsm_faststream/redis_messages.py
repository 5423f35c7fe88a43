"""Messages of FastStream's Redis broker: channels, lists and streams.

FastStream puts each body into an envelope with headers, so the context has a place in all three. In a stream, the
envelope is a field of the entry. An entry that somebody else has written may have the context in a field of its own.
"""

from __future__ import annotations

import re
from typing import Any

from asyncdsm.integration import HEADER, Edge, EdgeCache, check_name
from asyncdsm_faststream.measures import ReadMessage, length_or_zero

ENVELOPE = b"__data__"
"""The field of an entry that has FastStream's envelope."""
FIELD = HEADER.encode()
"""The field in which redis-py's streams carry the context."""
_BATCHES = {"blist": "list", "bstream": "stream"}
_REPLY_CHANNEL = re.compile("[0-9A-Za-z]{22}")  # `request` makes one for each call


def _make_name_edge(key: tuple[str, str]) -> Edge:
    name, group = key
    tags = (f"group:{group}",) if group else ()
    return Edge("direction:in", f"topic:{name}", "type:redis", *tags)


_out_edges: EdgeCache[str] = EdgeCache(lambda name: Edge("direction:out", f"topic:{name}", "type:redis"))
_in_edges: EdgeCache[tuple[str, str]] = EdgeCache(_make_name_edge)


def find_edge(command: Any) -> Edge | None:
    """Return the edge of a publish; None for a reply to one caller."""
    name: str = check_name("a channel, list or stream", command.destination)
    is_reply = command.publish_type.name == "REPLY"
    return None if is_reply and _REPLY_CHANNEL.fullmatch(name) else _out_edges[name]


def is_message(message: Any) -> bool:
    """Say whether this is what FastStream makes of something that it received from Redis."""
    return isinstance(message, dict) and "type" in message and "channel" in message and "data" in message


def split_batch(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a batch, each as a single one would be."""
    kind = _BATCHES.get(message["type"])
    if kind is None:
        return [message]
    ids = message.get("message_ids") or [None] * len(message["data"])
    return [
        {"type": kind, "channel": message["channel"], "data": data, "message_ids": [each]}
        for each, data in zip(ids, message["data"], strict=False)
    ]


def read_received(message: dict[str, Any], subscriber: Any) -> ReadMessage | None:
    """Read a single message. `subscriber` is FastStream's, where it is known; None for a batch."""
    if message["type"] in _BATCHES:
        return None
    name: str = check_name("a channel, list or stream", message["channel"])
    data = message["data"]
    fields: dict[Any, Any] = data if isinstance(data, dict) else {}
    body = fields.get(ENVELOPE) if fields else data
    header = None if body is None else _find_format(subscriber).parse(body)[1].get(HEADER)
    size = sum(length_or_zero(part) for pair in fields.items() for part in pair) if fields else length_or_zero(body)
    header = header or fields.get(FIELD)
    stream = getattr(subscriber, "stream_sub", None) or getattr(subscriber, "_stream_sub", None)
    group = getattr(stream, "group", None) or ""
    return ReadMessage(_in_edges[name, group], header, size, None if header else _read_time(message))


def find_place(message: dict[str, Any]) -> tuple[Any, ...]:
    """Return a message's place, which distinguishes it from a later one with the same id."""
    return message["channel"], id(message["data"]), *message.get("message_ids", ())


def _find_format(subscriber: Any) -> Any:
    """Return the class that reads the envelope."""
    from faststream.redis.parser import BinaryMessageFormatV1  # noqa: PLC0415  (redis-py need not be installed)

    return getattr(getattr(subscriber, "config", None), "message_format", None) or BinaryMessageFormatV1


def _read_time(message: dict[str, Any]) -> int | None:
    """Return when an entry was added, in nanoseconds since the epoch: its id begins with the milliseconds."""
    ids = message.get("message_ids")
    milliseconds = bytes(ids[0]).partition(b"-")[0] if ids and isinstance(ids[0], bytes) else b""
    return int(milliseconds) * 1_000_000 if milliseconds.isdigit() else None
