"""Messages received: by a queue's consumer, whoever it calls, by `Queue.get`, by a `SimpleQueue`.

A consumer's callback runs with the message's pathway, which is gone behind it. Hooked on the queue, which knows its
name: a message does not say where it was, and a consumer may have many queues.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import signature
from typing import Any

from kombu.entity import Queue
from kombu.message import Message
from kombu.simple import SimpleBase

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Context
from asyncdsm.integration import pathway_cache
from asyncdsm.integration.formats.amqp import (
    body_bytes,
    bytes_of,
    context_in,
    in_edge,
    is_internal_queue,
    is_reply_queue,
    plain,
    published_ns,
)
from asyncdsm_kombu import transports
from asyncdsm_kombu.followed import connection_of, is_followed
from asyncdsm_kombu.names import type_of

_CALLBACK = list(signature(Queue.consume).parameters).index("callback") - 1


def consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.consume`, which a `Consumer` calls for each of its queues."""

    def consume(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            callback = args[_CALLBACK] if len(args) > _CALLBACK else kwargs.get("callback")
            edge = None if callback is None else _edge_of(self)
            if edge is not None and not _fetches_ahead(callback):
                followed = _following(self, edge, callback)
                if len(args) > _CALLBACK:
                    args = (*args[:_CALLBACK], followed, *args[_CALLBACK + 1 :])
                else:
                    kwargs = {**kwargs, "callback": followed}
        except Exception as error:
            report_hook_error(error)
        return original(self, *args, **kwargs)

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
                current.set_current(None)  # who asks for the next message is done with the last one
        except Exception as error:
            report_hook_error(error)
        message = original(self, *args, **kwargs)
        if edge is not None and message is not None:
            arrived(edge, message)
        return message

    return get


def arrived(edge: Edge, message: Any) -> None:
    """Record the consume checkpoint of one delivery, unless a hook further in has, and make its pathway current."""
    try:
        if recall(message) is None:
            _consumed(edge, message)
    except Exception as error:
        current.set_current(None)
        report_hook_error(error)


def _consumed(edge: Edge, message: Any) -> None:
    headers = message.headers or {}  # amqp has None for none
    header = context_in(headers)
    size = body_bytes(message.body)
    size = None if size is None else size + bytes_of(headers)
    published = published_ns(message.properties.get("timestamp")) if header is None else None
    pathway = checkpoint.consume(edge, header, size, published)
    if pathway is not None:
        info = message.delivery_info
        if info is None:
            info = message.delivery_info = {}
        pathway_cache.store_pathway(info, info, pathway)


def recall(message: Any) -> Context | None:
    """Return the pathway of a message that was counted already, None for any other.

    It is kept beside the delivery info: Kombu makes its own message of the transport's, which has the same one.
    """
    info = message.delivery_info
    return None if info is None else pathway_cache.lookup_pathway(info, info)


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a consumed message; None for anything else.

    A message that was consumed before its connection was followed does not say from which queue: its pathway goes on
    as it came, without this hop.
    """
    if not isinstance(message, Message):
        return None
    pathway = recall(message)
    if pathway is not None:
        return pathway
    return checkpoint.incoming_pathway(
        context_in(message.headers or {}), published_ns(message.properties.get("timestamp"))
    )


def _following(queue: Any, edge: Edge, callback: Any) -> Any:
    """Return what to call instead of a consumer's callback."""

    @functools.wraps(callback)
    def deliver(message: Any, *args: Any, **kwargs: Any) -> Any:
        if not _counts(queue):
            return callback(message, *args, **kwargs)
        before = current.snapshot()
        arrived(edge, message)
        try:
            return callback(message, *args, **kwargs)
        finally:
            current.set_current(before)

    return deliver


def _counts(queue: Any) -> bool:
    """Say whether what a consumer gets is still counted: its connection is followed, and it waits for no reply."""
    try:
        return is_followed(connection_of(queue.channel)) and not _is_left_out(queue)
    except Exception as error:
        report_hook_error(error)
        return False


def _is_left_out(queue: Any) -> bool:
    name = plain(queue.name)
    return is_internal_queue(name) or is_reply_queue(name, is_exclusive=queue.exclusive)


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
    return None if _is_left_out(queue) else in_edge(plain(queue.name), type_)
