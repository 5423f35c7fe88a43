"""What is read from messages, and copies of them that carry a context."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

from asyncdsm.integration import HEADER, Edge, PendingProduce, begin_produce

HEADER_BYTES = HEADER.encode()
"""The name of the property in a received message: the client decodes no strings there."""
OTHER_BYTES = 8
"""What a property's value counts that is neither a string nor bytes."""


def read_header(message: Any) -> Any:
    """Return the context's base64 text of a received message, None without one."""
    properties = message.application_properties
    if not properties:
        return None
    header = properties.get(HEADER_BYTES)
    return properties.get(HEADER) if header is None else header


def measure(message: Any) -> int | None:
    """Return the bytes of a message's body and properties. None for what the client will refuse."""
    if isinstance(message, Mapping):
        return _length(message.get("body")) + measure_properties(message.get("application_properties"))
    raw = message.raw_amqp_message if isinstance(message, ServiceBusMessage) else message
    if not isinstance(raw, AmqpAnnotatedMessage):
        return None
    body = raw.body
    size = sum(map(_length, body)) if raw.body_type is AmqpMessageBodyType.DATA else _length(body)
    return size + measure_properties(raw.application_properties)


def measure_properties(properties: Any) -> int:
    """Return the bytes of properties' names and values, without a context."""
    if not isinstance(properties, Mapping):
        return 0
    others = (pair for pair in properties.items() if pair[0] not in (HEADER, HEADER_BYTES))
    return sum(_length(name) + (_length(value) or OTHER_BYTES) for name, value in others)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    return len(value) if isinstance(value, bytes | bytearray) else 0


def copy_with_context(message: Any, header: str) -> Any:
    """Return a copy of a message, with the context among its properties. The message itself stays as it is.

    So a message that is sent twice, or by several tasks at once, has another context each time.
    """
    if isinstance(message, Mapping):
        return {**message, "application_properties": _add(message.get("application_properties"), header)}
    made = copy(message)
    if isinstance(message, ServiceBusMessage):
        made._raw_amqp_message = raw = copy(message.raw_amqp_message)
        raw.annotations = raw.annotations and {**raw.annotations}  # the client notes there when to deliver
    else:
        raw = made
    raw.application_properties = _add(raw.application_properties, header)
    return made


def _add(properties: Any, header: str) -> dict[Any, Any]:
    others = {name: value for name, value in (properties or {}).items() if name != HEADER_BYTES}
    return {**others, HEADER: header}


def begin_message(edge: Edge, message: Any) -> tuple[PendingProduce | None, Any]:
    """Return the checkpoint for `finish_produce`, and the message to send: a copy with its context.

    The checkpoint is None for a message that does not count, or that the client will refuse: it stays as it is.
    """
    size = measure(message)
    pending = None if size is None else begin_produce(edge, size, len(HEADER))
    return (None, message) if pending is None else (pending, copy_with_context(message, pending.header.decode()))
