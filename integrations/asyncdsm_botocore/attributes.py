"""The attribute `_datadog` of messages of SQS and SNS: added when they are sent, hidden when they are received.

To ask for the attribute is the only way to receive a context. A program that has not asked for it would see it all the
same, and after raw delivery by SNS it has bytes, which cannot be written as JSON. So it is removed from such responses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from asyncdsm.integration import Edge, begin_produce
from asyncdsm.integration.formats import aws
from asyncdsm.integration.formats.json_context import (
    KEY,
    WIRE_BYTES,
    encode_others,
    has_context,
    make_carrier_slot,
    parse_json,
)
from asyncdsm_botocore.produce import (
    MESSAGE_LIMITS,
    NO_ROOM,
    Message,
    PendingMessage,
    PreparedMessage,
    Room,
    begin_without_context,
    prepare_each,
)

_MOST_ATTRIBUTES = 10
_DIGEST = "MD5OfMessageAttributes"


class MessageShape(NamedTuple):
    """How a service names the parts of a message."""

    body: str
    data_type: Literal["String", "Binary"]
    """The type of the attribute `_datadog`: filter policies of SNS fail on a String of JSON (protocol §3)."""


def prepare_message(message: Message, shape: MessageShape, edge: Edge) -> PreparedMessage:
    """Return a single message, with a context in a copy of it if there is room for one."""
    return _prepare(message, shape, edge, Room(_message_size(message, shape), MESSAGE_LIMITS))


def prepare_entries(
    entries: Sequence[Message], shape: MessageShape, edge: Edge
) -> tuple[list[Message], list[PendingMessage | None]]:
    """Return the entries of a batch, each as `prepare_message` does, and their checkpoints."""
    sizes = [_message_size(entry, shape) for entry in entries]
    room = Room(sum(sizes), MESSAGE_LIMITS)
    return prepare_each(
        entries,
        lambda position, entry: _prepare(entry, shape, edge, room, Room(sizes[position], MESSAGE_LIMITS)),
    )


def _prepare(message: Message, shape: MessageShape, edge: Edge, room: Room, *more_room: Room) -> PreparedMessage:
    """Return a message with a context, which takes `room`, and must fit into all."""
    if not _is_message(message):
        return message, None
    key, attributes = message.get("Id"), message.get("MessageAttributes", {})
    others = {name: value for name, value in attributes.items() if name != KEY}
    carrier = parse_json(aws.attribute_value(attributes.get(KEY)))
    slot = make_carrier_slot(carrier)
    replaced = len(KEY) + _attribute_size(attributes[KEY]) if KEY in attributes else 0
    needed = len(KEY) + len(shape.data_type) + slot.size + WIRE_BYTES - replaced
    has_room = all(each.fits(needed) for each in (room, *more_room))
    body_size = aws.byte_count(message.get(shape.body))
    if len(others) >= _MOST_ATTRIBUTES or not has_room:
        without = begin_without_context(key, edge, body_size + aws.attributes_size(attributes), NO_ROOM)
        if without is not None and has_context(carrier):  # a forwarded one, which would have the wrong parent
            attribute = _make_attribute(encode_others(carrier), shape)
            message = {**message, "MessageAttributes": {**others, **attribute}}
        return message, without
    pending = begin_produce(edge, body_size + aws.attributes_size(others) + slot.size, len(KEY))
    if pending is None:
        return message, None
    room.reserve(needed)
    added = _make_attribute(slot.fill(pending.header), shape)
    return {**message, "MessageAttributes": {**others, **added}}, PendingMessage(key, pending, has_context=True)


def _make_attribute(value: bytes | None, shape: MessageShape) -> dict[str, Any]:
    """Return the attribute with this value by its name; nothing for None."""
    if value is None:
        return {}
    name = f"{shape.data_type}Value"
    return {KEY: {"DataType": shape.data_type, name: value.decode() if shape.data_type == "String" else value}}


def _message_size(message: Message, shape: MessageShape) -> int:
    """Return the size of a message as AWS counts it, which includes the types of its attributes."""
    if not _is_message(message):
        return 0
    strings = aws.byte_count(message.get(shape.body)) + aws.byte_count(message.get("Subject"))
    attributes = message.get("MessageAttributes", {})
    return strings + sum(aws.byte_count(name) + _attribute_size(each) for name, each in attributes.items())


def _attribute_size(attribute: Any) -> int:
    """Return the bytes of the value of an attribute, and of the name of its type."""
    type_ = attribute.get("DataType") if isinstance(attribute, dict) else None
    return aws.byte_count(type_) + aws.byte_count(aws.attribute_value(attribute))


def _is_message(message: Any) -> bool:
    """Say whether an object has the shape of a message. If not, botocore will raise an error."""
    return isinstance(message, dict) and isinstance(message.get("MessageAttributes", {}), dict)


def hide_contexts(messages: Any) -> None:
    """Remove the attribute from all messages of a response."""
    if isinstance(messages, list):
        for message in list.copy(messages):
            hide_context(message)


def hide_context(message: Any) -> None:
    """Remove the attribute from a message, and make the digest of its attributes right again."""
    attributes = message.get("MessageAttributes") if isinstance(message, dict) else None
    if not isinstance(attributes, dict) or KEY not in attributes:
        return
    others = {name: value for name, value in attributes.items() if name != KEY}
    if not others:
        message.pop("MessageAttributes")
        message.pop(_DIGEST, None)
        return
    if _DIGEST in message and message[_DIGEST] == _digest(attributes):
        message[_DIGEST] = _digest(others)
    message["MessageAttributes"] = others


def _digest(attributes: Mapping[str, Any]) -> str | None:
    """Return the MD5 of attributes as SQS documents it; None if an attribute has an unknown shape."""
    try:
        content = b"".join(_digest_parts(attributes))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _digest_parts(attributes: Mapping[str, Any]) -> Iterator[bytes]:
    for name in sorted(attributes):
        attribute = attributes[name]
        is_binary = attribute["DataType"].startswith("Binary")
        value = attribute["BinaryValue"] if is_binary else attribute["StringValue"].encode()
        for string in (name.encode(), attribute["DataType"].encode()):
            yield len(string).to_bytes(4, "big") + string
        yield (b"\x02" if is_binary else b"\x01") + len(value).to_bytes(4, "big") + value
