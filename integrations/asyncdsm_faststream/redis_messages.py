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
NEW_ENTRIES = ">"
"""The id by which a consumer of a group asks for entries that nobody was given yet."""
_taken: dict[int, Any] = {}
# The contexts that were in a field of their own, by the id of the entry's fields, while FastStream has the entry.
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
    nothing = [None] * len(message["data"])
    ids, counts = message.get("message_ids") or nothing, message.get("delivery_counts") or nothing
    return [
        {
            "type": kind,
            "channel": message["channel"],
            "data": data,
            "message_ids": [each],
            **({} if count is None else {"delivery_counts": [count]}),
        }
        for each, data, count in zip(ids, message["data"], counts, strict=False)
    ]


def take_contexts(received: Any) -> None:
    """Take the field with the context off the entries of a message, so that no handler sees it."""
    for fields in _list_fields(received):
        header = fields.pop(FIELD, None)
        if header is not None:
            _taken[id(fields)] = header


def forget_contexts(received: Any) -> None:
    """Forget what `take_contexts` took off a message, once FastStream has finished with it."""
    for fields in _list_fields(received):
        _taken.pop(id(fields), None)


def _list_fields(received: Any) -> list[dict[Any, Any]]:
    if not is_message(received):
        return []
    data = received["data"]
    return [fields for fields in (data if isinstance(data, list) else [data]) if isinstance(fields, dict)]


def read_received(message: dict[str, Any], subscriber: Any) -> ReadMessage | None:
    """Read a single message. `subscriber` is FastStream's, where it is known; None for a batch."""
    if message["type"] in _BATCHES:
        return None
    name: str = check_name("a channel, list or stream", message["channel"])
    stream = _find_stream(subscriber)
    header, size = _read_data(message["data"], subscriber)
    edge = _in_edges[name, getattr(stream, "group", None) or ""]
    return ReadMessage(
        edge, header, size, None if header else _read_time(message), _is_redelivered(message, subscriber)
    )


def _read_data(data: Any, subscriber: Any) -> tuple[Any, int]:
    """Return the context and the bytes of an envelope, or of the fields of an entry."""
    if not isinstance(data, dict):
        return _read_envelope(data, subscriber), length_or_zero(data)
    size = sum(length_or_zero(part) for pair in data.items() for part in pair)
    taken = _taken.get(id(data))
    if taken is not None:
        size += len(FIELD) + length_or_zero(taken)
    return _read_envelope(data.get(ENVELOPE), subscriber) or taken or data.get(FIELD), size


def _read_envelope(envelope: Any, subscriber: Any) -> Any:
    return None if envelope is None else _find_format(subscriber).parse(envelope)[1].get(HEADER)


def _find_stream(subscriber: Any) -> Any:
    """Return what a subscriber says of the stream that it reads; None if it reads none."""
    return getattr(subscriber, "stream_sub", None) or getattr(subscriber, "_stream_sub", None)


def _is_redelivered(message: dict[str, Any], subscriber: Any) -> bool:
    """Say whether an entry was delivered before, as the integration of redis-py says it.

    That is a claimed one, and one that its consumer was given earlier and has not acknowledged.
    """
    stream = _find_stream(subscriber)
    if not (getattr(stream, "group", None) and getattr(stream, "consumer", None)):
        return False
    if getattr(stream, "min_idle_time", None) is not None:
        return True
    counts = message.get("delivery_counts")
    return bool(counts[0] > 0 if counts else getattr(subscriber, "read_id", NEW_ENTRIES) != NEW_ENTRIES)


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
