"""Messages that a consumer receives, one at a time and in batches: hooked right above C, below deserializers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import Message

from asyncdsm.integration import (
    Edge,
    MalformedValueError,
    Pathway,
    after,
    before,
    consume,
    ensure_recorder,
    follow_batch,
    guarded,
    report_hook_error,
    set_current,
    store_entry,
)
from asyncdsm.integration.formats.kafka import (
    find_pathway,
    read_context,
    read_time,
    report_malformed_message,
)
from asyncdsm.integration.formats.kafka_headers import scan_headers
from asyncdsm.integration.formats.transactions import KAFKA_CONSUME, extract_from_pairs
from asyncdsm_confluent.client import Client, client_of


def hook_poll(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.poll`. **Hot**."""

    def poll(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        set_current(None)  # a program that asks for the next message has finished the last one
        message = original(self, *args, **kwargs)
        try:
            if ensure_recorder() is not None:
                client = client_of(self)
                if client.cluster_id is None:
                    client.ask_cluster_id(self, has_answered=message is not None)
                client.lag.update(self)  # first: it learns of another cluster, too
                if message is not None:
                    consume_message(client, message)
                if client.is_inside_aio:
                    set_current(None)
        except Exception as error:
            report_hook_error(error)
        return message

    return poll


def hook_consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.consume`."""

    def consume(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        set_current(None)
        messages = original(self, *args, **kwargs)
        try:
            return _consume_batch(client_of(self), self, messages)
        except Exception as error:
            report_hook_error(error)
            return messages

    return consume


def _consume_batch(client: Client, consumer: Any, messages: Any) -> Any:
    if ensure_recorder() is None or not isinstance(messages, list):
        return messages
    client.ask_cluster_id(consumer, has_answered=bool(messages))
    pathways = [consume_message(client, message) for message in messages]
    client.lag.update(consumer)
    if client.is_inside_aio:  # the asyncio client follows the batch, in the task of its caller
        set_current(None)
        return messages
    return follow_batch(messages, pathways, edges=find_edges(client, messages))


def hook_share_poll(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ShareConsumer.poll`, which returns a sequence of its own class, with a list inside."""

    def poll(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        set_current(None)
        messages = original(self, *args, **kwargs)
        try:
            if ensure_recorder() is not None:
                client = client_of(self)
                pathways = [consume_message(client, message) for message in messages]
                messages._records = follow_batch(messages._records, pathways, edges=find_edges(client, messages))
        except Exception as error:
            set_current(None)
            report_hook_error(error)
        return messages

    return poll


@after
def observe_close(_result: Any, consumer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Consumer.close`: a closed consumer has no lag."""
    client_of(consumer).lag.clear()


@before
def observe_pause(consumer: Any, /, partitions: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Consumer.pause`: before it, since the end that is known then grows old."""
    client_of(consumer).lag.note_pause(consumer, partitions)


@after
def observe_resume(_result: Any, consumer: Any, /, partitions: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Consumer.resume`."""
    client_of(consumer).lag.note_resume(partitions)


def consume_message(client: Client, message: Any) -> Pathway | None:
    """Record the consume checkpoint of one message, and make its pathway current. Nothing for an error event. **Hot**.

    A message whose topic is not a string is counted as malformed, and has no checkpoint.
    """
    try:
        if message.error() is not None:
            return None
        topic = message.topic()
        edge = client.in_edges[topic]
    except (AttributeError, TypeError, MalformedValueError) as error:
        report_malformed_message("the topic", error)
        return None
    size: Any = 0
    try:
        size = len(message)
        key = message.key()
        if key:
            size += len(key)
        header, size = scan_headers(message.headers() or (), size)
    except Exception as error:  # a type that C does not return
        report_malformed_message("headers or sizes", error)
        header, size = read_context(message.headers()), None
    pathway = consume(edge, header, size, _read_broker_ns(message) if header is None else None)
    if pathway is not None:
        store_entry((id(message), topic, message.partition(), message.offset(), pathway))
        if KAFKA_CONSUME:
            extract_from_pairs(KAFKA_CONSUME, message.headers())
    return pathway


@guarded
def find_edges(client: Client, messages: Iterable[Any]) -> list[Edge | None]:
    """Return the edge of each message that was counted; None for one that is malformed, and for an error event."""
    return [_find_edge(client, message) for message in messages]


def _find_edge(client: Client, message: Any) -> Edge | None:
    try:
        return client.in_edges.get(message.topic())
    except (AttributeError, TypeError):  # no message, or a topic that cannot be a name: it was counted as malformed
        return None


def find_message_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a consumed message (`find_pathway`); None for anything else, and for an error event."""
    if not isinstance(message, Message) or message.error() is not None:
        return None
    place = message.topic(), message.partition(), message.offset()
    return find_pathway(message, place, message.headers(), _read_broker_ns(message))


def _read_broker_ns(message: Any) -> Any:
    """Return the broker's time of a message in nanoseconds: `timestamp()` is a pair of its type and milliseconds."""
    match message.timestamp():
        case (_, milliseconds):
            return read_time(milliseconds)
        case other:
            return other
