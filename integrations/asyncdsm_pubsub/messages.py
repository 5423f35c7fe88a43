"""What is known of a message: its edge, its size, and what its attributes and the broker say."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from asyncdsm.integration import (
    HEADER,
    Edge,
    EdgeCache,
    Pathway,
    consume,
    count_deliveries,
    incoming_pathway,
    make_out_edges,
)

DEAD_LETTER = "CloudPubSubDeadLetterSourceSubscription"
"""The attribute of a message that the service sent to a topic for dead letters."""

Time: TypeAlias = datetime | Timestamp
"""When a message was published: as the client's messages tell it, or as protobuf's own do."""

out_edges: EdgeCache[str] = make_out_edges("google-pubsub")
"""The edges of publishing, by the topic's full name: `projects/p/topics/t`."""
in_edges: EdgeCache[str] = EdgeCache(lambda name: Edge("direction:in", f"topic:{name}", "type:google-pubsub"))
"""The edges of receiving, by the subscription's full name. A subscriber is not told the topic (protocol §4)."""


def measure_message(data: Any, ordering_key: Any, attributes: Iterable[tuple[Any, Any]]) -> int:
    """Return the bytes of a message's data, ordering key and attributes. What the client refuses has none. **Hot**."""
    size = len(data) if isinstance(data, bytes) else 0
    if ordering_key:
        size += _count_bytes(ordering_key)
    for name, value in attributes:
        if type(name) is str and type(value) is str and (field := name + value).isascii():
            size += len(field)
        else:
            size += _count_bytes(name) + _count_bytes(value)
    return size


def _count_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    return len(value) if isinstance(value, bytes) else 0


def consume_message(message: Any, subscription: str, published: Time | None, attempt: int | None) -> Pathway | None:
    """Record the consume checkpoint of a message, and make its pathway current.

    `message` has data, attributes and an ordering key. `published` is when the service got it, and `attempt` the number
    of this delivery, which it says where the subscription has a policy for dead letters.
    """
    attributes, edge = message.attributes, in_edges[subscription]
    header = attributes.get(HEADER)
    size = measure_message(message.data, message.ordering_key, attributes.items())
    pathway = consume(edge, header, size, None if header or published is None else nanoseconds_of(published))
    if pathway is not None and ((attempt or 0) > 1 or DEAD_LETTER in attributes):
        count_deliveries(edge, redelivered=(attempt or 0) > 1, dead_lettered=DEAD_LETTER in attributes)
    return pathway


def pathway_in(message: Any, published: Time | None) -> Pathway | None:
    """Return the pathway that a message brings, or one that began when it was published."""
    header = message.attributes.get(HEADER)
    return incoming_pathway(header, None if header or published is None else nanoseconds_of(published))


def nanoseconds_of(time: Time) -> int:
    """Return a time in nanoseconds since the epoch, to the microsecond."""
    if isinstance(time, Timestamp):
        return int(time.ToMicroseconds()) * 1000
    return round(time.timestamp() * 1_000_000) * 1000
