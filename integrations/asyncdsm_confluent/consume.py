"""Messages received, singly and in batches: hooked right above C, below what deserializes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import Message

from asyncdsm import checkpoint
from asyncdsm.batch import follow_batch
from asyncdsm.edge import Edge
from asyncdsm.hooks import hook_failed
from asyncdsm.pathway import HEADER, LEGACY_HEADER, Context, legacy_text
from asyncdsm.recall import recall, remember
from asyncdsm_confluent.client import Client, client_of, last_in_edge

_NS_PER_MS = 1_000_000


def poll(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.poll`. Who asks for the next message is done with the last one."""

    def poll(self: Any, *args: Any, **kwargs: Any) -> Any:
        checkpoint.set_current(None)
        message = original(self, *args, **kwargs)
        try:
            _polled(client_of(self), self, message)
        except Exception as error:
            hook_failed(error)
        return message

    return poll


def _polled(client: Client, consumer: Any, message: Any) -> None:
    if checkpoint.running() is None:
        return
    if client.cluster_id is None:
        client.learn_cluster_id(consumer, has_answered=message is not None)
    if message is not None:
        consumed(client, message)
    if client.is_below:
        checkpoint.set_current(None)
    client.behind.look(consumer)


def consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.consume`."""

    def consume(self: Any, *args: Any, **kwargs: Any) -> Any:
        checkpoint.set_current(None)
        messages = original(self, *args, **kwargs)
        try:
            return _consumed_all(client_of(self), self, messages)
        except Exception as error:
            hook_failed(error)
            return messages

    return consume


def _consumed_all(client: Client, consumer: Any, messages: Any) -> Any:
    if checkpoint.running() is None:
        return messages
    client.learn_cluster_id(consumer, has_answered=bool(messages))
    pathways = [consumed(client, message) for message in messages]
    client.behind.look(consumer)
    if client.is_below:  # the client above follows them, in the thread or task of its caller
        checkpoint.set_current(None)
        return messages
    return follow_batch(messages, pathways)


def close(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.close`: who reads no more is not behind."""

    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            client_of(self).behind.forget()
        except Exception as error:
            hook_failed(error)
        return result

    return close


def poll_shared(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ShareConsumer.poll`, which returns a sequence of its own, around a list."""

    def poll(self: Any, *args: Any, **kwargs: Any) -> Any:
        checkpoint.set_current(None)
        messages = original(self, *args, **kwargs)
        try:
            if checkpoint.running() is not None:
                client = client_of(self)
                pathways = [consumed(client, message) for message in messages]
                messages._records = follow_batch(messages._records, pathways)
        except Exception as error:
            checkpoint.set_current(None)
            hook_failed(error)
        return messages

    return poll


def consumed(client: Client, message: Any) -> Context | None:
    """Record the consume checkpoint of one message, and make its pathway current. What is an error is no message."""
    if message.error() is not None:
        return None
    topic, partition, offset = place = _place_of(message)
    header, size = None, len(message)
    key = message.key()
    if key:
        size += len(key)
    for name, value in message.headers() or ():
        size += len(name) + (len(value) if value else 0)
        if name == HEADER:
            header = value
        elif name == LEGACY_HEADER and header is None and value is not None:
            header = legacy_text(value)
    pathway = checkpoint.arrived(client.in_edge(topic), header, size, message.timestamp()[1] * _NS_PER_MS)
    client.behind.positions[topic, partition] = offset + 1
    if pathway is not None:
        remember(message, place, pathway)
    return pathway


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a consumed message; None for anything else.

    One that was consumed before its client was wrapped, or thousands of messages ago, does not say by which group:
    the one that consumed its topic last in this process is taken.
    """
    if not isinstance(message, Message) or message.error() is not None or message.topic() is None:
        return None
    pathway = recall(message, _place_of(message))
    if pathway is not None:
        return pathway
    headers: dict[str, Any] = dict(message.headers() or ())
    legacy = headers.get(LEGACY_HEADER)
    header = headers.get(HEADER) or (legacy_text(legacy) if legacy else None)
    topic = message.topic() or ""
    edge = last_in_edge.get(topic) or Edge("direction:in", f"topic:{topic}", "type:kafka")
    return checkpoint.next_pathway(edge, header, message.timestamp()[1] * _NS_PER_MS)


def _place_of(message: Any) -> tuple[str, int, int]:
    return message.topic(), message.partition(), message.offset()
