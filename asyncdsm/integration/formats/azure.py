"""Azure's messages over AMQP 1.0: their application properties, which carry the context, sizes, and pathways.

Shared by the clients of Service Bus and of Event Hubs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncdsm.core.checkpoint import consume, incoming_pathway
from asyncdsm.core.context import HEADER
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.pathway_cache import lookup_pathway, store_pathway

HEADER_BYTES = HEADER.encode()
"""The name of the property in a received message: the clients decode no strings there."""
OTHER_BYTES = 8
"""What a property's value counts that is neither a string nor bytes."""


def _read_property(properties: Any) -> Any:
    """Return the context's base64 text among the properties of a received message, None without one."""
    if not properties:
        return None
    header = properties.get(HEADER_BYTES)
    return properties.get(HEADER) if header is None else header


def add_property(properties: Any, header: str) -> dict[Any, Any]:
    """Return a copy of properties with a context, in place of one that they have."""
    return {**remove_property(properties), HEADER: header}


def remove_property(properties: Any) -> dict[Any, Any]:
    """Return a copy of properties without a context, which a forwarded message may have."""
    return {name: value for name, value in (properties or {}).items() if name not in (HEADER, HEADER_BYTES)}


def has_property(properties: Any) -> bool:
    """Say whether there is a context among the properties of a message to send."""
    return isinstance(properties, Mapping) and (HEADER in properties or HEADER_BYTES in properties)


def measure_raw(raw: Any, *, has_parts: bool) -> int:
    """Return the bytes of the body and the properties of an annotated message, without a context.

    `has_parts` says whether its body is a sequence of bytes.
    """
    size = sum(map(measure_value, raw.body)) if has_parts else measure_value(raw.body)
    return size + measure_properties(raw.application_properties)


def measure_properties(properties: Any) -> int:
    """Return the bytes of the names and values of properties, without a context."""
    if not isinstance(properties, Mapping):
        return 0
    others = (pair for pair in properties.items() if pair[0] not in (HEADER, HEADER_BYTES))
    return sum(measure_value(name) + (measure_value(value) or OTHER_BYTES) for name, value in others)


def measure_value(value: Any) -> int:
    """Return the bytes of a string or of bytes; 0 for anything else."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    return len(value) if isinstance(value, bytes | bytearray) else 0


def consume_delivery(edge: Edge, message: Any, size: int | None, properties: Any, enqueued: Any) -> Pathway | None:
    """Record the consume checkpoint of a message, and make its pathway current. **Hot**.

    `properties` are those of its application, and `enqueued` is when the broker stored it. Returns None, with nothing
    recorded or changed, if it does not count.
    """
    header = _read_property(properties)
    pathway = consume(edge, header, size, None if header is not None else _find_enqueued_ns(enqueued))
    if pathway is not None:
        store_pathway(message, message.sequence_number, pathway)
    return pathway


def find_delivered_pathway(message: Any, properties: Any, enqueued: Any) -> Pathway | None:
    """Return the pathway of a message: of its delivery if that was counted, or else the one that it brings."""
    pathway = lookup_pathway(message, message.sequence_number)
    if pathway is not None:
        return pathway
    header = _read_property(properties)
    return incoming_pathway(header, None if header is not None else _find_enqueued_ns(enqueued))


def _find_enqueued_ns(enqueued: Any) -> int | None:
    return None if enqueued is None else int(enqueued.timestamp() * 1000) * 1_000_000  # brokers tell milliseconds
