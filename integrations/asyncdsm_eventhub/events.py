"""What is read from events, and the copies of them that are sent."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

from asyncdsm.integration import HEADER, Edge, PendingProduce, begin_produce, finish_produce, record_not_propagated

HEADER_BYTES = HEADER.encode()
"""The name of the property in a received event: the client decodes no strings there."""
OTHER_BYTES = 8
"""What a property's value counts that is neither a string nor bytes."""


class Departure(NamedTuple):
    """An event that is about to be sent."""

    pending: PendingProduce | None
    original: Any
    """The caller's event, which stays as it is."""
    is_propagated: bool = True
    """Whether its copy carries the context: there may be no room."""

    def count_sent(self) -> None:
        """Count the event, which Event Hubs has taken."""
        if self.pending is not None:
            finish_produce(self.pending)
            if not self.is_propagated:
                record_not_propagated()


def departure_of(event: Any) -> Departure | None:
    """Return the departure of a copy that `prepare_event` made; None for any other event."""
    return getattr(event, "_asyncdsm_departure", None)


def prepare_event(edge: Edge, event: Any) -> Any:
    """Return a copy to send, with its context and its departure; the event itself if it does not count.

    So an event that is sent twice, or by several tasks at once, has another context each time.
    """
    if not isinstance(event, EventData | AmqpAnnotatedMessage) or departure_of(event) is not None:
        return event
    pending = begin_produce(edge, measure(event), len(HEADER))
    if pending is None:
        return event
    return _copy(Departure(pending, event), pending.header.decode())


def without_context(event: Any) -> Any:
    """Return what to send in place of a copy that is too large: one without a context."""
    departure = departure_of(event)
    return event if departure is None else _copy(departure._replace(is_propagated=False), None)


def _copy(departure: Departure, header: str | None) -> Any:
    made: Any = copy(departure.original)
    made._asyncdsm_departure = departure
    raw = made
    if isinstance(made, EventData):
        made._raw_amqp_message = raw = copy(made.raw_amqp_message)
    if header is not None:
        given = raw.application_properties or {}
        others = {name: value for name, value in given.items() if name != HEADER_BYTES}
        raw.application_properties = {**others, HEADER: header}
    return made


def _raw_of(event: Any) -> Any:
    return event.raw_amqp_message if isinstance(event, EventData) else event


def read_header(event: Any) -> Any:
    """Return the context's base64 text of a received event, None without one."""
    properties = event.properties
    if not properties:
        return None
    header = properties.get(HEADER_BYTES)
    return properties.get(HEADER) if header is None else header


def measure(event: Any) -> int:
    """Return the bytes of an event's body and properties, without a context."""
    raw = _raw_of(event)
    body = raw.body
    size = sum(map(_length, body)) if raw.body_type is AmqpMessageBodyType.DATA else _length(body)
    properties = raw.application_properties
    if not isinstance(properties, Mapping):
        return size
    others = (pair for pair in properties.items() if pair[0] not in (HEADER, HEADER_BYTES))
    return size + sum(_length(name) + (_length(value) or OTHER_BYTES) for name, value in others)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    return len(value) if isinstance(value, bytes | bytearray) else 0
