"""Messages received, singly and in batches: hooked right above C, below what deserializes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import Message

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import HEADER, LEGACY_HEADER, Context, legacy_text
from asyncdsm.core.values import check_name
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.batch import follow_batch
from asyncdsm.integration.formats.kafka import read_context, read_time
from asyncdsm.integration.hooks import after, before
from asyncdsm.integration.pathway_cache import lookup_pathway, store_pathway
from asyncdsm_confluent.client import Client, client_of, last_in_edge


def poll(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.poll`. Who asks for the next message is done with the last one."""

    def poll(self: Any, *args: Any, **kwargs: Any) -> Any:
        current.set_current(None)
        message = original(self, *args, **kwargs)
        try:
            _polled(client_of(self), self, message)
        except Exception as error:
            report_hook_error(error)
        return message

    return poll


def _polled(client: Client, consumer: Any, message: Any) -> None:
    if checkpoint.ensure_recorder() is None:
        return
    if client.cluster_id is None:
        client.learn_cluster_id(consumer, has_answered=message is not None)
    if message is not None:
        consumed(client, message)
    if client.is_below:
        current.set_current(None)
    client.behind.look(consumer)


def consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.consume`."""

    def consume(self: Any, *args: Any, **kwargs: Any) -> Any:
        current.set_current(None)
        messages = original(self, *args, **kwargs)
        try:
            return _consumed_all(client_of(self), self, messages)
        except Exception as error:
            report_hook_error(error)
            return messages

    return consume


def _consumed_all(client: Client, consumer: Any, messages: Any) -> Any:
    if checkpoint.ensure_recorder() is None or not isinstance(messages, list):
        return messages
    client.learn_cluster_id(consumer, has_answered=bool(messages))
    pathways = [consumed(client, message) for message in messages]
    client.behind.look(consumer)
    if client.is_below:  # the client above follows them, in the thread or task of its caller
        current.set_current(None)
        return messages
    return follow_batch(messages, pathways)


@after
def forget_lag(_result: Any, consumer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Consumer.close`: who reads no more is not behind."""
    client_of(consumer).behind.forget()


@before
def note_pause(consumer: Any, partitions: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Consumer.pause`: before, since the end that is known now grows old from here on."""
    client_of(consumer).behind.note_pause(consumer, partitions)


@after
def note_resume(_result: Any, consumer: Any, partitions: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Consumer.resume`."""
    client_of(consumer).behind.note_resume(partitions)


def poll_shared(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ShareConsumer.poll`, which returns a sequence of its own, around a list."""

    def poll(self: Any, *args: Any, **kwargs: Any) -> Any:
        current.set_current(None)
        messages = original(self, *args, **kwargs)
        try:
            if checkpoint.ensure_recorder() is not None:
                client = client_of(self)
                pathways = [consumed(client, message) for message in messages]
                messages._records = follow_batch(messages._records, pathways)
        except Exception as error:
            current.set_current(None)
            report_hook_error(error)
        return messages

    return poll


def consumed(client: Client, message: Any) -> Context | None:
    """Record the consume checkpoint of one message, and make its pathway current. What is an error is no message.

    One whose topic is no string is counted as malformed, and has no checkpoint. **Hot**.
    """
    try:
        if message.error() is not None:
            return None
        topic = message.topic()
        edge = client.in_edge(topic)
    except (AttributeError, TypeError, MalformedValueError) as error:
        report_hook_error(MalformedValueError(f"a consumed message: {error}"))
        return None
    header, broker_ns = None, None
    size: Any = 0
    try:
        size = len(message)
        key = message.key()
        if key:
            size += len(key)
        for name, value in message.headers() or ():
            size += len(name) + (len(value) if value else 0)
            if name == HEADER:
                header = value
            elif name == LEGACY_HEADER and header is None and value is not None:
                header = legacy_text(value)
    except Exception as error:  # of a type that C does not hand over
        report_hook_error(MalformedValueError(f"a consumed message's headers or sizes: {error}"))
        header, size = read_context(message.headers()), None
    if header is None:
        broker_ns = _time_of(message)
    pathway = checkpoint.consume(edge, header, size, broker_ns)
    if pathway is not None:
        store_pathway(message, (topic, message.partition(), message.offset()), pathway)
    return pathway


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a consumed message; None for anything else, and for an error.

    One that was consumed before its client was wrapped, or many thousands of messages ago, does not say by which
    group: the one that consumed its topic last in this process is taken. Raises MalformedValueError for a topic that
    is no string.
    """
    if not isinstance(message, Message) or message.error() is not None:
        return None
    topic = check_name("a topic", message.topic())
    pathway = lookup_pathway(message, (topic, message.partition(), message.offset()))
    if pathway is not None:
        return pathway
    edge = last_in_edge[topic]
    return checkpoint.peek_consume(edge, read_context(message.headers()), _time_of(message))


def _time_of(message: Any) -> Any:
    """Return the broker's time of a message in nanoseconds: `timestamp()` is a pair of its type and milliseconds."""
    match message.timestamp():
        case (_, milliseconds):
            return read_time(milliseconds)
        case other:
            return other
