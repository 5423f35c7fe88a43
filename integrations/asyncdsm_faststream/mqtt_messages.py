"""Messages of FastStream's MQTT broker. They count as those of aiomqtt."""

from __future__ import annotations

from typing import Any

from asyncdsm.integration import Edge, check_name
from asyncdsm.integration.formats.mqtt import in_edges, is_left_out, measure_payload, out_edges, read_pairs, topics
from asyncdsm_faststream.measures import ReadMessage, headers_bytes, length_or_zero

_PACKET_BYTES = 32
"""The room that a packet needs beside its texts and its payload: 27 bytes at most."""
_PAIR_BYTES = 5
"""What the wire adds to a user property."""
_REPLIES = "_zmqtt/reply/"  # `request` makes a topic for each call


def find_edge(command: Any) -> Edge | None:
    """Return the edge of a publish; None for a reply to one caller, and for the broker's own topics."""
    topic: str = check_name("a topic", command.destination)
    return None if is_left_out(topic) or topic.startswith(_REPLIES) else out_edges[topics[topic]]


def takes_headers(producer: Any) -> bool:
    """Say whether messages have headers: not before MQTT 5. FastStream refuses a message with some there."""
    if getattr(producer, "_version", None) == "3.1.1":  # a test's broker
        return False
    return all(kind.__name__ != "ZmqttProducerV311" for kind in type(producer).__mro__)


def has_room(client: Any, topic: str, payload: Any, properties: Any) -> bool:
    """Say whether the broker takes this message, as far as it has said. zmqtt, FastStream's client, does not look."""
    connection = getattr(client, "_connection_info", None)
    most_bytes = getattr(connection and connection.properties, "maximum_packet_size", None)
    if most_bytes is None:
        return True
    texts = (topic, properties.content_type, properties.response_topic, properties.correlation_data)
    size = sum(length_or_zero(text) for text in texts) + measure_payload(payload)
    size += headers_bytes(properties.user_properties) + _PAIR_BYTES * len(properties.user_properties)
    return bool(_PACKET_BYTES + size <= most_bytes)


def is_message(message: Any) -> bool:
    """Say whether this is a message of zmqtt, FastStream's client."""
    return hasattr(message, "retain") and isinstance(getattr(message, "topic", None), str)


def read_received(message: Any, subscriber: Any) -> ReadMessage | None:
    """Read a message. `subscriber` is FastStream's, where it is known: it knows the group of a shared subscription.

    A message that the broker has kept for new subscribers begins a pathway: its age is not a time in a queue.
    """
    if is_left_out(message.topic):
        return None
    pairs = () if message.properties is None else message.properties.user_properties
    header, size = read_pairs(pairs)
    group = getattr(subscriber, "_shared", None) or ""
    edge = in_edges[topics[message.topic], group]
    return ReadMessage(edge, None if message.retain else header, len(message.payload) + size, None)


def find_place(message: Any) -> tuple[Any, ...]:
    """Return a message's place, which distinguishes it from a later one with the same id."""
    return message.topic, id(message.payload)
