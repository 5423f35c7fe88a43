"""The messages that FastStream's clients receive, whichever client it is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Context
from asyncdsm.core.values import check_name
from asyncdsm.integration.formats.amqp import PATHWAY_SLOT, is_internal_queue, read_timestamp
from asyncdsm.integration.formats.kafka import make_in_edge, read_context, read_pairs, read_time
from asyncdsm.integration.pathway_cache import lookup_pathway, store_pathway
from asyncdsm_faststream.clusters import group_and_cluster_of


class Received(NamedTuple):
    """What a checkpoint is made of."""

    edge: Edge
    header: Any
    size: int
    broker_ns: Any


class _TakenHere(tuple[int, int, int]):
    """The pathway of a message that was counted here: a test's broker may hand the same one to a second group."""

    __slots__ = ()


Place = tuple[Any, Any, Any]


def take(message: Any, subscriber: Any, consumer: Any) -> Context | None:
    """Record the consume checkpoint of a received message, unless its client's integration has; return its pathway.

    `subscriber` and `consumer` are FastStream's, where they are known: they tell the queue, the group and the cluster.
    Raises MalformedValueError for a topic that is no string.
    """
    counted = counted_below(message)
    if counted is not None:
        return counted
    found = read(message, subscriber, consumer)
    pathway = None if found is None else checkpoint.consume(*found)
    place = _place_of(message)
    if pathway is not None and place is not None:
        store_pathway(message, place, _TakenHere(pathway))
    return pathway


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a received message, from the message alone."""
    counted, place = counted_below(message), _place_of(message)
    if counted is None and place is not None:
        counted = lookup_pathway(message, place)
    if counted is not None:
        return counted
    found = read(message, None, None)
    return None if found is None else checkpoint.peek_consume(found.edge, found.header, found.broker_ns)


def counted_below(message: Any) -> Context | None:
    """Return the pathway of a message that its client's integration has counted already."""
    marked = getattr(message, PATHWAY_SLOT, None)
    if isinstance(marked, tuple):
        return marked
    place = _place_of(message)
    found = None if place is None else lookup_pathway(message, place)
    return None if isinstance(found, _TakenHere) else found


def read(message: Any, subscriber: Any, consumer: Any = None) -> Received | None:
    """Read a message of aiokafka, confluent-kafka or aio-pika; None for any other."""
    if hasattr(message, "routing_key"):
        return _of_rabbit(message, subscriber)
    group, cluster = group_and_cluster_of(consumer or getattr(subscriber, "consumer", None))
    group = group or getattr(subscriber, "group_id", None)
    if _is_confluents(message):
        return _of_confluent(message, group, cluster)
    return _of_aiokafka(message, group, cluster) if hasattr(message, "serialized_value_size") else None


def _is_confluents(message: Any) -> bool:
    return callable(getattr(message, "topic", None))


def _place_of(message: Any) -> Place | None:
    """Return what tells a message from a later one with its id: its place on the broker."""
    if hasattr(message, "routing_key"):
        return message.routing_key, getattr(message, "consumer_tag", None), getattr(message, "delivery_tag", None)
    if _is_confluents(message):
        return message.topic(), message.partition(), message.offset()
    if hasattr(message, "serialized_value_size"):
        return message.topic, message.partition, message.offset
    return None


def _of_aiokafka(record: Any, group: str | None, cluster: str | None) -> Received:
    size = sum(part for part in (record.serialized_key_size, record.serialized_value_size) if _is_size(part))
    edge = _kafka_edge(check_name("a topic", record.topic), group, cluster)
    headers = record.headers
    return Received(edge, read_context(headers), size + _bytes_of(read_pairs(headers)), read_time(record.timestamp))


def _of_confluent(message: Any, group: str | None, cluster: str | None) -> Received:
    headers = message.headers()
    size = _length_of(message.key()) + _length_of(message.value()) + _bytes_of(read_pairs(headers))
    edge = _kafka_edge(check_name("a topic", message.topic()), group, cluster)
    match message.timestamp():
        case (_, milliseconds):
            return Received(edge, read_context(headers), size, read_time(milliseconds))
        case other:
            return Received(edge, read_context(headers), size, other)


def _of_rabbit(message: Any, subscriber: Any) -> Received | None:
    queue = _queue_of(subscriber)
    if queue is None:
        queue = message.routing_key or ""
    if not check_name("a queue", queue) or is_internal_queue(queue):  # named by the server
        return None
    headers = message.headers
    size = _length_of(message.body) + _bytes_of(read_pairs(headers))
    return Received(_rabbit_edge(queue), read_context(headers), size, read_timestamp(message.timestamp))


def _queue_of(subscriber: Any) -> str | None:
    queue = getattr(subscriber, "queue", None)
    if queue is None:
        return None
    name: str = queue.add_prefix(subscriber._outer_config.prefix).name
    return name


def _bytes_of(headers: Iterable[tuple[str, Any]]) -> int:
    return sum(len(name) + _length_of(value) for name, value in headers)


def _length_of(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, bytearray)) else 0


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0  # -1 is no key


@lru_cache(4096)
def _kafka_edge(topic: str, group: str | None, cluster_id: str | None) -> Edge:
    return make_in_edge(topic, group, cluster_id)


@lru_cache(4096)
def _rabbit_edge(queue: str) -> Edge:
    return Edge("direction:in", f"topic:{queue}", "type:rabbitmq")
