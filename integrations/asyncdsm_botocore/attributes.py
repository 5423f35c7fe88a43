"""Messages of SQS and SNS: a context is one of their attributes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from asyncdsm import aws, checkpoint
from asyncdsm.edge import Edge
from asyncdsm_botocore import slots
from asyncdsm_botocore.departing import Leaving, without_context
from asyncdsm_botocore.limits import MESSAGE, MOST_ATTRIBUTES, Room

Message = dict[str, Any]


class Kind(NamedTuple):
    """How a service has its messages."""

    body: str
    data_type: Literal["String", "Binary"]
    """Of our attribute: SNS filter policies break on a String of JSON (protocol §3)."""

    @property
    def is_text(self) -> bool:
        """Whether our attribute's value is text."""
        return self.data_type == "String"


def address(message: Message, kind: Kind, edge: Edge) -> tuple[Message, list[Leaving]]:
    """Return a message that goes alone, with its context where that may be; the caller's stays as it is."""
    return _addressed(message, kind, edge, Room(_counted(message, kind), MESSAGE))


def address_all(entries: Iterable[Message], kind: Kind, edge: Edge) -> tuple[list[Message], list[Leaving]]:
    """Return the entries of a batch, likewise."""
    entries = list(entries)
    room = Room(sum(_counted(entry, kind) for entry in entries), MESSAGE)
    addressed, leaving = list[Message](), list[Leaving]()
    for entry in entries:
        message, departing = _addressed(entry, kind, edge, room)
        addressed.append(message)
        leaving += departing
    return addressed, leaving


def _addressed(message: Message, kind: Kind, edge: Edge, room: Room) -> tuple[Message, list[Leaving]]:
    if not _is_message(message):
        return message, []
    attributes = message.get("MessageAttributes") or {}
    existing = aws.attribute_value(attributes.get(aws.KEY))
    slot = slots.in_carrier(aws.decoded(existing))
    others = {name: value for name, value in attributes.items() if name != aws.KEY}
    needed = len(aws.KEY) + len(kind.data_type) + slot.size + slots.WIRE_BYTES
    has_room = room.holds(needed) and Room(_counted(message, kind), MESSAGE).holds(needed)
    body_size = aws.byte_count(message.get(kind.body))
    if len(others) >= MOST_ATTRIBUTES or not has_room:
        as_it_is = without_context(message.get("Id"), edge, body_size + aws.attributes_size(attributes))
        return message, [as_it_is] if as_it_is else []
    departure = checkpoint.prepare(edge, body_size + aws.attributes_size(others) + slot.size, len(aws.KEY))
    if departure is None:
        return message, []
    room.take(needed)
    value = slot.filled(departure.wire)
    attribute = {"DataType": kind.data_type, f"{kind.data_type}Value": value.decode() if kind.is_text else value}
    addressed = {**message, "MessageAttributes": {**others, aws.KEY: attribute}}
    return addressed, [Leaving(message.get("Id"), departure, has_context=True)]


def _counted(message: Message, kind: Kind) -> int:
    """Return a message's size as AWS counts it: the types of its attributes too."""
    if not _is_message(message):
        return 0
    attributes = message.get("MessageAttributes") or {}
    types = sum(aws.byte_count(each.get("DataType")) for each in attributes.values() if isinstance(each, dict))
    return aws.byte_count(message.get(kind.body)) + aws.attributes_size(attributes) + types


def _is_message(message: Any) -> bool:
    """Say whether a message has its shape: if not, botocore is about to say so."""
    return isinstance(message, dict) and isinstance(message.get("MessageAttributes", {}), dict)
