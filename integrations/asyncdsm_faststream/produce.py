"""The commands with which FastStream publishes: their edges, and the context among their headers."""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from typing import Any

from asyncdsm.integration import (
    HEADER,
    Edge,
    EdgeCache,
    PendingProduce,
    begin_produce,
    check_name,
    ensure_recorder,
    finish_produce,
    guarded,
    record_not_propagated,
)
from asyncdsm.integration.formats.amqp import RABBITMQ, is_internal_queue, out_edges
from asyncdsm.integration.formats.kafka import make_out_edge, read_pairs
from asyncdsm.integration.formats.transactions import KAFKA_PRODUCE, RABBITMQ_PRODUCE, extract_from_pairs
from asyncdsm_faststream import mqtt_messages, redis_messages
from asyncdsm_faststream.client import find_cluster, find_publish

_kafka_edges: EdgeCache[tuple[str, str | None]] = EdgeCache(lambda key: make_out_edge(*key))


_EXTRACTED = {"kafka": KAFKA_PRODUCE, "confluent": KAFKA_PRODUCE, "rabbit": RABBITMQ_PRODUCE}
_TOO_LARGE = 10
"""Kafka's code of a message that is too large, as confluent-kafka reports it."""
_TOO_LARGE_FOR_STREAM = 10054
"""JetStream's code, where a stream's `max_msg_size` is smaller than the message."""


class BegunPublish:
    """A publish whose command carries a context, if there is a place for it."""

    def __init__(self, checkpoint: PendingProduce, messages: int, bare_command: Any) -> None:
        self.checkpoint: PendingProduce = checkpoint
        self.header: str = checkpoint.header.decode()
        self.messages: int = messages
        """For how many messages the checkpoint is to be counted."""
        self.bare_command: Any = bare_command
        """The command as it was, without the context."""
        self.has_context: bool = True
        """False once the message goes without."""


@guarded
def begin_publish(command: Any, call_next: Any) -> BegunPublish | None:
    """Put the context among a command's headers.

    `call_next` is what the middleware calls next: it leads to the client.
    """
    edge = _find_edge(command, call_next)
    if edge is None:
        _remove_context(command)
        return None
    pending = begin_produce(edge)
    if pending is None:
        return None
    publish = find_publish(call_next)
    is_batch = getattr(publish, "__name__", "") == "publish_batch"  # a single body may be None, which is no body there
    begun = BegunPublish(pending, len(command.batch_bodies) if is_batch else 1, copy(command))
    if _takes_headers(command, publish):
        command.headers = {**(command.headers or {}), HEADER: begun.header}
    else:
        begun.has_context = False
    return begun


def _remove_context(command: Any) -> None:
    """Let a reply go without the context that its request was received with."""
    if ensure_recorder() is not None and command.headers and HEADER in command.headers:
        command.headers = {name: value for name, value in command.headers.items() if name != HEADER}


def _takes_headers(command: Any, publish: Any) -> bool:
    command_type: Any = type(command)
    return _find_broker(command_type) != "mqtt" or mqtt_messages.takes_headers(getattr(publish, "__self__", None))


@guarded
def finish_publish(begun: BegunPublish) -> None:
    """Count the messages of a publish that the client has taken. Never raises."""
    for _ in range(begun.messages):
        finish_produce(begun.checkpoint)
    if not begun.has_context:
        record_not_propagated()
    if KAFKA_PRODUCE or RABBITMQ_PRODUCE:
        _extract_transactions(begun.bare_command)


@guarded
def _extract_transactions(command: Any) -> None:
    command_type: Any = type(command)
    table = _EXTRACTED.get(_find_broker(command_type) or "")
    if table is not None:
        extract_from_pairs(table, read_pairs(command.headers))


@guarded
def is_too_large(begun: BegunPublish, error: Exception) -> bool:
    """Say whether a single message was too large for Kafka or for a stream of NATS: it may have room without a context.

    Neither the client nor the broker has taken it then. Of a batch, some messages may have been taken.
    """
    if not begun.has_context or begun.messages != 1 or HEADER in (begun.bare_command.headers or ()):
        return False
    if getattr(error, "err_code", None) == _TOO_LARGE_FOR_STREAM:
        return True
    code = getattr(error.args[0], "code", None) if error.args else None
    return type(error).__name__ == "MessageSizeTooLargeError" or (callable(code) and code() == _TOO_LARGE)


def _find_edge(command: Any, call_next: Any) -> Edge | None:
    """Return the edge of a publish (protocol §4). None for an unknown broker, and for a reply to a caller.

    Raises MalformedValueError for a topic that is not a string.
    """
    command_type: Any = type(command)
    broker = _find_broker(command_type)
    if broker in {"kafka", "confluent"}:
        return _kafka_edges[check_name("a topic", command.destination), find_cluster(call_next)]
    if broker != "rabbit":
        return _find_edge_of_others(broker, command)
    exchange, key = command.exchange.name, check_name("a routing key", command.destination)
    if not exchange and is_internal_queue(key):
        return None
    return out_edges[exchange, key if not exchange else bool(key), RABBITMQ]


def _find_edge_of_others(broker: str | None, command: Any) -> Edge | None:
    if broker == "nats":
        from asyncdsm_faststream import nats_messages  # noqa: PLC0415  (nats-py need not be installed)

        return nats_messages.find_edge(command)
    if broker == "redis":
        return redis_messages.find_edge(command)
    return mqtt_messages.find_edge(command) if broker == "mqtt" else None


@lru_cache
def _find_broker(command_type: Any) -> str | None:
    """Return the broker that a type of command is for: the name of FastStream's package that it was derived from."""
    modules = (parent.__module__.split(".") for parent in command_type.__mro__)
    return next((names[1] for names in modules if names[0] == "faststream" and len(names) > 1), None)
