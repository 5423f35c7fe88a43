"""Messages that are published. The context is one more user property, in a copy of the properties.

A message counts when `publish` returns: for QoS 0 the client has sent it, for QoS 1 and 2 the broker has confirmed it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paho.mqtt.client import MQTTv5
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from asyncdsm.integration import (
    HEADER,
    PendingProduce,
    begin_produce,
    check_name,
    ensure_recorder,
    finish_produce,
    mark_async,
    record_not_propagated,
    report_hook_error,
)
from asyncdsm.integration.formats.mqtt import is_left_out, measure_payload, out_edges, read_pairs, topics
from asyncdsm_aiomqtt.connection import Connection, find_followed

PAIRS = "UserProperty"
PACKET_BYTES = 16
"""The room that a packet needs beside its topic, its properties and its payload. It is 13 bytes at most."""
CONTEXT_BYTES = len(HEADER) + 5 + 40
"""The room that a context may take. Those of today have 28 bytes."""
_EMPTY = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]


def hook_client_publish(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Client.publish`. **Hot**."""

    async def publish(  # noqa: PLR0917  (as the client has it)
        client: Any,
        /,
        topic: Any,
        payload: Any = None,
        qos: Any = 0,
        retain: Any = False,
        properties: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        pending = None
        try:
            connection = find_followed(client)
            if connection is not None and ensure_recorder() is not None:
                is_v5 = client._client.protocol == MQTTv5
                pending, properties = begin_message(connection, topic, payload, properties, is_v5=is_v5)
        except Exception as error:
            report_hook_error(error)
        if args or kwargs:
            result = await original(client, topic, payload, qos, retain, properties, *args, **kwargs)
        else:  # saves 0.4 µs
            result = await original(client, topic, payload, qos, retain, properties)
        if pending is not None:
            finish_produce(pending)
        return result

    return mark_async(publish)


def begin_message(
    connection: Connection, topic: Any, payload: Any, properties: Any, *, is_v5: bool
) -> tuple[PendingProduce | None, Any]:
    """Return the checkpoint for `finish_produce`, and the properties to send. **Hot**.

    The properties of a message that a layer above counts are the caller's. A message that does not count goes without a
    context, also one that it is forwarded with. So does one that has no room for it, which counts: MQTT before version
    5 has no properties.
    """
    pairs = vars(properties).get(PAIRS, ()) if properties else ()
    own_pairs = [pair for pair in pairs if pair[0] != HEADER] if pairs else []
    without = properties if len(own_pairs) == len(pairs) else _with_pairs(properties, own_pairs)
    if not topic or is_left_out(check_name("a topic", topic)):  # without a topic, it has an alias of one
        return None, without
    size = measure_payload(payload) + (read_pairs(own_pairs)[1] if own_pairs else 0)
    fits = is_v5 and _has_room(connection, topic, size, without)
    pending = begin_produce(out_edges[topics[topic]], size, len(HEADER) if fits else None)
    if pending is None:
        return None, properties
    if not fits:
        record_not_propagated()
        return pending, without
    return pending, _with_pairs(properties or _EMPTY, [*own_pairs, (HEADER, pending.header.decode())])


def _has_room(connection: Connection, topic: str, size: int, properties: Any) -> bool:
    """Say whether the broker takes the message with a context. It ends the connection for too large a packet."""
    if connection.most_bytes is None:
        return True
    others = len(properties.pack()) if properties else 0
    return PACKET_BYTES + len(topic.encode()) + others + size + CONTEXT_BYTES <= connection.most_bytes


def _with_pairs(properties: Any, pairs: list[tuple[str, str]]) -> Any:
    """Return a copy of properties with these user properties. To set the attribute would append to the caller's."""
    copied = object.__new__(type(properties))  # `copy` takes 4 µs
    vars(copied).update(vars(properties))
    vars(copied)[PAIRS] = pairs
    if not pairs:
        del vars(copied)[PAIRS]
    return copied
