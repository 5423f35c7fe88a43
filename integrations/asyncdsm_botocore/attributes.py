"""Messages of SQS and SNS: a context is one of their attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.aws import KEY
from asyncdsm.integration.formats.json_context import decoded
from asyncdsm_botocore import slots
from asyncdsm_botocore.departing import NO_ROOM, Addressed, Leaving, Message, address_each, without_context
from asyncdsm_botocore.limits import MESSAGE, MOST_ATTRIBUTES, Room


class Kind(NamedTuple):
    """How a service has its messages."""

    body: str
    data_type: Literal["String", "Binary"]
    """Of our attribute: SNS filter policies break on a String of JSON (protocol §3)."""

    @property
    def is_text(self) -> bool:
        """Whether our attribute's value is text."""
        return self.data_type == "String"


def address(message: Message, kind: Kind, edge: Edge) -> Addressed:
    """Return a message that goes alone, with its context where that may be; the caller's stays as it is."""
    return _addressed(message, kind, edge, Room(_counted(message, kind), MESSAGE))


def address_all(entries: Sequence[Message], kind: Kind, edge: Edge) -> tuple[list[Message], list[Leaving | None]]:
    """Return the entries of a batch, likewise."""
    room = Room(sum(_counted(entry, kind) for entry in entries), MESSAGE)
    return address_each(entries, lambda _, entry: _addressed(entry, kind, edge, room))


def _addressed(message: Message, kind: Kind, edge: Edge, room: Room) -> Addressed:
    if not _is_message(message):
        return message, None
    key, attributes = message.get("Id"), message.get("MessageAttributes", {})
    others = {name: value for name, value in attributes.items() if name != KEY}
    slot = slots.in_carrier(decoded(aws.attribute_value(attributes.get(KEY))))
    needed = len(KEY) + len(kind.data_type) + slot.size + slots.WIRE_BYTES
    has_room = room.holds(needed) and Room(_counted(message, kind), MESSAGE).holds(needed)
    body_size = aws.byte_count(message.get(kind.body))
    if len(others) >= MOST_ATTRIBUTES or not has_room:
        return message, without_context(key, edge, body_size + aws.attributes_size(attributes), NO_ROOM)
    pending = checkpoint.begin_produce(edge, body_size + aws.attributes_size(others) + slot.size, len(KEY))
    if pending is None:
        return message, None
    room.take(needed)
    value = slot.filled(pending[0])
    attribute = {"DataType": kind.data_type, f"{kind.data_type}Value": value.decode() if kind.is_text else value}
    return {**message, "MessageAttributes": {**others, KEY: attribute}}, Leaving(key, pending, has_context=True)


def _counted(message: Message, kind: Kind) -> int:
    """Return a message's size as AWS counts it: the types of its attributes too."""
    if not _is_message(message):
        return 0
    attributes = message.get("MessageAttributes", {})
    types = sum(aws.byte_count(each.get("DataType")) for each in attributes.values() if isinstance(each, dict))
    texts = aws.byte_count(message.get(kind.body)) + aws.byte_count(message.get("Subject"))
    return texts + aws.attributes_size(attributes) + types


def _is_message(message: Any) -> bool:
    """Say whether a message has its shape: if not, botocore is about to say so."""
    return isinstance(message, dict) and isinstance(message.get("MessageAttributes", {}), dict)
