"""The messages that FastStream's clients receive, whichever client it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncdsm.integration import (
    EdgeCache,
    Pathway,
    check_name,
    consume,
    count_deliveries,
    lookup_pathway,
    peek_consume,
    store_pathway,
)
from asyncdsm.integration.formats.amqp import (
    DEATHS,
    PATHWAY_SLOT,
    RABBITMQ,
    in_edges,
    is_internal_queue,
    read_timestamp,
)
from asyncdsm.integration.formats.kafka import make_in_edge, read_context, read_pairs, read_time
from asyncdsm.integration.formats.transactions import KAFKA_CONSUME, RABBITMQ_CONSUME, extract_from_pairs
from asyncdsm_faststream import mqtt_messages, redis_messages
from asyncdsm_faststream.client import find_group_and_cluster
from asyncdsm_faststream.measures import ReadMessage, headers_bytes, length_or_zero

_kafka_edges: EdgeCache[tuple[str, str | None, str | None]] = EdgeCache(lambda key: make_in_edge(*key))


class _OwnPathway(Pathway):
    """The pathway of a message that was counted here: a test's broker may hand the same one to a second group."""


def consume_client_message(message: Any, subscriber: Any, consumer: Any) -> Pathway | None:
    """Record the consume checkpoint of a message, unless its client's integration has. Return its pathway.

    `subscriber` and `consumer` are FastStream's, where they are known: they know the queue, the group and the cluster.
    Raises MalformedValueError for a topic that is not a string.
    """
    pathway, place = _pathway_from_client(message), _find_place(message)
    if pathway is not None:
        return pathway
    found = read_message(message, subscriber, consumer)
    pathway = None if found is None else _consume_read(found)
    if pathway is not None and place is not None:
        store_pathway(message, place, _OwnPathway(*pathway))
    if pathway is not None and (KAFKA_CONSUME or RABBITMQ_CONSUME) and not _is_of_others(message):
        _extract_transactions(message)
    return pathway


def _consume_read(found: ReadMessage) -> Pathway | None:
    pathway = consume(found.edge, found.header, found.size, found.broker_ns)
    if pathway is not None:
        count_deliveries(found.edge, redelivered=found.is_redelivered, dead_lettered=found.is_dead_lettered)
    return pathway


def _extract_transactions(message: Any) -> None:
    table = RABBITMQ_CONSUME if hasattr(message, "routing_key") else KAFKA_CONSUME
    headers = message.headers
    extract_from_pairs(table, read_pairs(headers() if callable(headers) else headers))


def pathway_of_message(message: Any) -> Pathway | None:
    """Return the pathway of a received message, from the message alone."""
    pathway, place = _pathway_from_client(message), _find_place(message)
    if pathway is None and place is not None:
        pathway = lookup_pathway(message, place)
    if pathway is not None:
        return pathway
    found = read_message(message, None, None)
    return None if found is None else peek_consume(found.edge, found.header, found.broker_ns)


def read_message(message: Any, subscriber: Any, consumer: Any = None) -> ReadMessage | None:
    """Read a message of the client of one of FastStream's brokers. Return None for any other."""
    if hasattr(message, "routing_key"):
        return _read_rabbit(message, subscriber)
    if _is_of_others(message):
        return _module_of(message).read_received(message, subscriber)  # type: ignore[no-any-return]
    group, cluster = find_group_and_cluster(consumer or getattr(subscriber, "consumer", None))
    group = group or getattr(subscriber, "group_id", None)
    if _is_of_confluent(message):
        return _read_confluent(message, group, cluster)
    return _read_aiokafka(message, group, cluster) if hasattr(message, "serialized_value_size") else None


def _pathway_from_client(message: Any) -> Pathway | None:
    """Return the pathway of a message that its client's integration has counted already."""
    marked = getattr(message, PATHWAY_SLOT, None)
    if isinstance(marked, Pathway):
        return marked
    place = _find_place(message)
    found = None if place is None else lookup_pathway(message, place)
    return None if isinstance(found, _OwnPathway) else found


def split_messages(received: Any) -> list[Any]:
    """Return the messages of what a subscriber has received: one, or a batch."""
    if redis_messages.is_message(received):
        return redis_messages.split_batch(received)
    return list(received) if isinstance(received, (list, tuple)) else [received]


def _is_of_others(message: Any) -> bool:
    """Say whether this is a message of NATS, Redis or MQTT."""
    return _is_of_nats(message) or redis_messages.is_message(message) or mqtt_messages.is_message(message)


def _is_of_nats(message: Any) -> bool:
    return hasattr(message, "subject") and hasattr(message, "reply")


def _module_of(message: Any) -> Any:
    """Return the module that reads a message of NATS, Redis or MQTT."""
    if _is_of_nats(message):
        from asyncdsm_faststream import nats_messages  # noqa: PLC0415  (nats-py need not be installed)

        return nats_messages
    return redis_messages if isinstance(message, dict) else mqtt_messages


def _is_of_confluent(message: Any) -> bool:
    return callable(getattr(message, "topic", None))


def _find_place(message: Any) -> tuple[Any, ...] | None:
    """Return a message's place on the broker, which distinguishes it from a later one with the same id."""
    if _is_of_others(message):
        return _module_of(message).find_place(message)  # type: ignore[no-any-return]
    if hasattr(message, "routing_key"):
        return message.routing_key, getattr(message, "consumer_tag", None), getattr(message, "delivery_tag", None)
    if _is_of_confluent(message):
        return message.topic(), message.partition(), message.offset()
    if hasattr(message, "serialized_value_size"):
        return message.topic, message.partition, message.offset
    return None


def _read_aiokafka(record: Any, group: str | None, cluster: str | None) -> ReadMessage:
    edge = _kafka_edges[check_name("a topic", record.topic), group, cluster]
    sizes = (record.serialized_key_size, record.serialized_value_size)
    size = sum(size for size in sizes if type(size) is int and size > 0)  # -1 without a key
    size += headers_bytes(read_pairs(record.headers))
    return ReadMessage(edge, read_context(record.headers), size, read_time(record.timestamp))


def _read_confluent(message: Any, group: str | None, cluster: str | None) -> ReadMessage:
    headers, timestamp = message.headers(), message.timestamp()
    size = length_or_zero(message.key()) + length_or_zero(message.value()) + headers_bytes(read_pairs(headers))
    edge = _kafka_edges[check_name("a topic", message.topic()), group, cluster]
    match timestamp:
        case (_, milliseconds):
            return ReadMessage(edge, read_context(headers), size, read_time(milliseconds))
        case _:
            return ReadMessage(edge, read_context(headers), size, timestamp)


def _read_rabbit(message: Any, subscriber: Any) -> ReadMessage | None:
    queue = _find_queue(subscriber)
    if queue is None:
        queue = message.routing_key or ""
    if not check_name("a queue", queue) or is_internal_queue(queue):  # the server named it
        return None
    headers = message.headers
    size = length_or_zero(message.body) + headers_bytes(read_pairs(headers))
    return ReadMessage(
        in_edges[queue, RABBITMQ],
        read_context(headers),
        size,
        read_timestamp(message.timestamp),
        is_redelivered=getattr(message, "redelivered", None) is True,
        is_dead_lettered=isinstance(headers, Mapping) and DEATHS in headers,
    )


def _find_queue(subscriber: Any) -> str | None:
    queue = getattr(subscriber, "queue", None)
    if queue is None:
        return None
    name: str = queue.add_prefix(subscriber._outer_config.prefix).name
    return name
