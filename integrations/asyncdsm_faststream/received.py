"""The messages that FastStream's clients receive, whichever client it is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from asyncdsm import checkpoint
from asyncdsm.amqp import PATHWAY_SLOT, is_internal_queue, published_ns
from asyncdsm.edge import Edge
from asyncdsm.pathway import HEADER, LEGACY_HEADER, Context, legacy_text
from asyncdsm.recall import recall

_NS_PER_MS = 1_000_000


class Received(NamedTuple):
    """What a checkpoint is made of."""

    edge: Edge
    header: str | bytes | None
    size: int
    broker_ns: int | None


def counted_below(message: Any) -> Context | None:
    """Return the pathway of a message that the client's own integration has counted already."""
    for marked in (getattr(message, "_asyncdsm_pathway", None), getattr(message, PATHWAY_SLOT, None)):
        if isinstance(marked, tuple):
            return marked
    if _is_confluents(message):
        return recall(message, (message.topic(), message.partition(), message.offset()))
    return None


def read(message: Any, subscriber: Any) -> Received | None:
    """Read a message of aiokafka, confluent-kafka or aio-pika; None for any other.

    `subscriber` is FastStream's, where one is known: it tells the consumer group, and the queue.
    """
    if hasattr(message, "routing_key"):
        return _of_rabbit(message, subscriber)
    if _is_confluents(message):
        return _of_confluent(message, subscriber)
    return _of_aiokafka(message, subscriber) if hasattr(message, "serialized_value_size") else None


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a received message, from the message alone."""
    counted = counted_below(message)
    if counted is not None:
        return counted
    found = read(message, None)
    return None if found is None else checkpoint.next_pathway(found.edge, found.header, found.broker_ns)


def _is_confluents(message: Any) -> bool:
    return callable(getattr(message, "topic", None))


def _of_aiokafka(record: Any, subscriber: Any) -> Received:
    size = max(record.serialized_key_size, 0) + max(record.serialized_value_size, 0) + _bytes_of(record.headers)
    edge = _kafka_edge(record.topic, getattr(subscriber, "group_id", None))
    return Received(edge, _context_in(record.headers), size, (record.timestamp or 0) * _NS_PER_MS)


def _of_confluent(message: Any, subscriber: Any) -> Received:
    headers = message.headers() or []
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    _, timestamp = message.timestamp()
    size = len(message.key() or b"") + len(message.value() or b"") + _bytes_of(pairs)
    edge = _kafka_edge(message.topic(), getattr(subscriber, "group_id", None))
    return Received(edge, _context_in(pairs), size, (timestamp or 0) * _NS_PER_MS)


def _of_rabbit(message: Any, subscriber: Any) -> Received | None:
    queue = _queue_of(subscriber)
    if queue is None:
        queue = message.routing_key or ""
    if not queue or is_internal_queue(queue):  # named by the server
        return None
    headers = list((message.headers or {}).items())
    size = len(message.body) + _bytes_of(headers)
    return Received(_rabbit_edge(queue), _context_in(headers), size, published_ns(message.timestamp))


def _queue_of(subscriber: Any) -> str | None:
    queue = getattr(subscriber, "queue", None)
    if queue is None:
        return None
    name: str = queue.add_prefix(subscriber._outer_config.prefix).name
    return name


def _context_in(headers: Iterable[tuple[str, Any]]) -> str | bytes | None:
    found = {name: value for name, value in headers if name in {HEADER, LEGACY_HEADER} and value is not None}
    if HEADER in found:
        value = found[HEADER]
        return value if isinstance(value, (str, bytes)) else ""
    legacy = found.get(LEGACY_HEADER)
    return legacy_text(legacy) if isinstance(legacy, (str, bytes)) else None


def _bytes_of(headers: Iterable[tuple[str, Any]]) -> int:
    return sum(len(name) + (len(value) if isinstance(value, (str, bytes)) else 0) for name, value in headers)


@lru_cache(4096)
def _kafka_edge(topic: str, group: str | None) -> Edge:
    return Edge("direction:in", f"topic:{topic}", "type:kafka", *([f"group:{group}"] if group else []))


@lru_cache(4096)
def _rabbit_edge(queue: str) -> Edge:
    return Edge("direction:in", f"topic:{queue}", "type:rabbitmq")
