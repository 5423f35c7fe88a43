"""What is read from events, and the copies of them that are sent."""

from __future__ import annotations

from typing import Any, NamedTuple

from azure.eventhub import EventData
from azure.eventhub.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType

from asyncdsm.integration import HEADER, Edge, PendingProduce, begin_produce, finish_produce, record_not_propagated
from asyncdsm.integration.formats.azure import add_property, copy_message, has_property, measure_raw, remove_property

_KNOWN = (EventData, AmqpAnnotatedMessage)


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
    if not isinstance(event, _KNOWN) or departure_of(event) is not None:
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
    made = copy_message(departure.original, _KNOWN)
    made._asyncdsm_departure = departure
    raw = made
    if isinstance(made, EventData):
        made._raw_amqp_message = raw = copy_message(made.raw_amqp_message, _KNOWN)
    if header is not None:
        raw.application_properties = add_property(raw.application_properties, header)
    elif has_property(raw.application_properties):  # the event was received with another context
        raw.application_properties = remove_property(raw.application_properties)
    return made


def measure(event: Any) -> int:
    """Return the bytes of an event's body and properties, without a context."""
    raw = event.raw_amqp_message if isinstance(event, EventData) else event
    return measure_raw(raw, has_parts=raw.body_type is AmqpMessageBodyType.DATA)
