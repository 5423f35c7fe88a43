"""Messages received: by a queue's consumer, whoever it calls, by `Queue.get`, by a `SimpleQueue`.

A consumer's callback runs with the message's pathway, which is gone behind it. Hooked on the queue, which knows its
name: a message does not say where it was, and a consumer may have many queues.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kombu.message import Message
from kombu.simple import SimpleBase

from asyncdsm import checkpoint
from asyncdsm.amqp import bytes_of, context_in, in_edge
from asyncdsm.edge import Edge
from asyncdsm.hooks import hook_failed
from asyncdsm.pathway import Context
from asyncdsm_kombu import transports
from asyncdsm_kombu.followed import connection_of, is_followed
from asyncdsm_kombu.names import is_internal_queue, type_of


class ConsumedInfo(dict[str, Any]):
    """The delivery info of a message that was consumed, in every way a dict; it knows the message's pathway.

    Kombu makes its message out of the transport's, and what it hands over is this. Copied and pickled, it is a plain
    dict.
    """

    __slots__ = ("pathway",)

    def __init__(self, info: dict[str, Any], pathway: Context) -> None:
        """Hold the same entries."""
        super().__init__(info)
        self.pathway: Context = pathway

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return dict, (dict(self),)


def consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.consume`, which a `Consumer` calls for each of its queues."""

    def consume(self: Any, consumer_tag: Any = "", callback: Any = None, *args: Any, **kwargs: Any) -> Any:
        try:
            edge = _edge_of(self)
            if edge is not None and callback is not None and not _fetches_ahead(callback):
                callback = _following(edge, callback)
        except Exception as error:
            hook_failed(error)
        return original(self, consumer_tag, callback, *args, **kwargs)

    return consume


def get(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.get`."""
    return _getting(original, lambda queue: queue)


def simple_get(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `SimpleQueue.get`: what it has fetched ahead may go back, so it counts when it is handed out."""
    return _getting(original, lambda simple: simple.queue)


def _getting(original: Callable[..., Any], queue_of: Callable[[Any], Any]) -> Callable[..., Any]:
    def get(self: Any, *args: Any, **kwargs: Any) -> Any:
        edge = None
        try:
            edge = _edge_of(queue_of(self))
            if edge is not None:
                checkpoint.set_current(None)  # who asks for the next message is done with the last one
        except Exception as error:
            hook_failed(error)
        message = original(self, *args, **kwargs)
        if edge is not None and message is not None:
            arrived(edge, message)
        return message

    return get


def arrived(edge: Edge, message: Any) -> None:
    """Record the consume checkpoint of one delivery, unless a hook further in has, and make its pathway current."""
    try:
        if not isinstance(message.delivery_info, ConsumedInfo):
            _consumed(edge, message)
    except Exception as error:
        checkpoint.set_current(None)
        hook_failed(error)


def _consumed(edge: Edge, message: Any) -> None:
    headers = message.headers or {}  # amqp has None for none
    header = context_in(headers)
    size = len(message.body or b"") + bytes_of(headers)
    pathway = checkpoint.arrived(edge, header, size, _published_ns(message) if header is None else None)
    if pathway is not None:
        message.delivery_info = ConsumedInfo(message.delivery_info or {}, pathway)


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a consumed message; None for anything else.

    A message that was consumed before its connection was followed does not say from which queue: its pathway goes on
    as it came, without this hop.
    """
    if not isinstance(message, Message):
        return None
    if isinstance(message.delivery_info, ConsumedInfo):
        return message.delivery_info.pathway
    return checkpoint.carried_pathway(context_in(message.headers), _published_ns(message))


def _following(edge: Edge, callback: Any) -> Any:
    """Return what to call instead of a consumer's callback."""

    @functools.wraps(callback)
    def deliver(message: Any) -> Any:
        before = checkpoint.standing()
        arrived(edge, message)
        try:
            return callback(message)
        finally:
            checkpoint.set_current(before)

    return deliver


def _fetches_ahead(callback: Any) -> bool:
    """Say whether the consumer is one of a `SimpleQueue`, whose callback only puts by."""
    callbacks = getattr(getattr(callback, "__self__", None), "callbacks", None) or ()
    return any(isinstance(getattr(called, "__self__", None), SimpleBase) for called in callbacks)


def _edge_of(queue: Any) -> Edge | None:
    """Return the edge of consuming from a queue; None if its connection is not followed, or the queue is internal."""
    connection = connection_of(queue.channel)
    if connection is None or not is_followed(connection):
        return None
    type_ = type_of(connection)
    if type_ in transports.STAND_ON_CLIENTS:
        transports.put_hooks(queue.channel)
    return None if is_internal_queue(queue.name) else in_edge(queue.name, type_)


def _published_ns(message: Any) -> int | None:
    """Return the publisher's time, to the second as AMQP has it, if the message has one."""
    published = message.properties.get("timestamp")
    if isinstance(published, datetime):  # amqp's are of UTC and do not say so
        published = (published if published.tzinfo else published.replace(tzinfo=UTC)).timestamp()
    return int(published) * 1_000_000_000 if isinstance(published, int | float) else None
