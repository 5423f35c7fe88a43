"""What is read from messages, and copies of them that carry a context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azure.servicebus import ServiceBusMessage
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

from asyncdsm.integration import HEADER, Edge, PendingProduce, begin_produce
from asyncdsm.integration.formats.azure import (
    add_property,
    copy_message,
    has_property,
    measure_properties,
    measure_raw,
    measure_value,
    remove_property,
)

_KNOWN = (ServiceBusMessage, AmqpAnnotatedMessage)


def measure(message: Any) -> int | None:
    """Return the bytes of a message's body and properties. None for what the client will refuse."""
    raw = message.raw_amqp_message if isinstance(message, ServiceBusMessage) else message
    if isinstance(raw, AmqpAnnotatedMessage):
        return measure_raw(raw, has_parts=raw.body_type is AmqpMessageBodyType.DATA)
    if isinstance(message, Mapping):
        return measure_value(message.get("body")) + measure_properties(message.get("application_properties"))
    return None


def copy_with_context(message: Any, header: str) -> Any:
    """Return a copy of a message, with the context among its properties. The message itself stays as it is.

    So a message that is sent twice, or by several tasks at once, has another context each time.
    """
    return _copy_with(message, add_property(_properties_of(message), header))


def without_context(message: Any) -> Any:
    """Return what to send in place of a message that has no room for a context.

    That is the message itself, or a copy without the context that it was received with.
    """
    properties = _properties_of(message)
    return _copy_with(message, remove_property(properties)) if has_property(properties) else message


def _properties_of(message: Any) -> Any:
    if isinstance(message, Mapping):
        return message.get("application_properties")
    return getattr(message, "application_properties", None)


def _copy_with(message: Any, properties: dict[Any, Any]) -> Any:
    if isinstance(message, Mapping):
        return {**message, "application_properties": properties}
    made = copy_message(message, _KNOWN)
    if isinstance(message, ServiceBusMessage):
        made._raw_amqp_message = raw = copy_message(message.raw_amqp_message, _KNOWN)
        raw.annotations = raw.annotations and {**raw.annotations}  # the client notes there when to deliver
    else:
        raw = made
    raw.application_properties = properties
    return made


def begin_message(edge: Edge, message: Any) -> tuple[PendingProduce | None, Any]:
    """Return the checkpoint for `finish_produce`, and the message to send: a copy with its context.

    The checkpoint is None for a message that does not count, or that the client will refuse: it stays as it is.
    """
    size = measure(message)
    pending = None if size is None else begin_produce(edge, size, len(HEADER))
    return (None, message) if pending is None else (pending, copy_with_context(message, pending.header.decode()))
