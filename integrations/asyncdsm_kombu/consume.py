"""Messages consumed by a queue's consumer, by `Queue.get`, or by a `SimpleQueue`.

A consumer's callback runs with the message's pathway; afterwards the previous one is restored. The hooks are on the
queue, which knows its name: a message does not say from which queue it came, and a consumer may have many queues.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import signature
from typing import Any

from kombu.entity import Queue
from kombu.simple import SimpleBase

from asyncdsm.integration import (
    Edge,
    Pathway,
    lookup_pathway,
    report_hook_error,
    set_current,
    snapshot,
    store_entry,
)
from asyncdsm.integration.formats.amqp import in_edges, is_left_out, record_consume, to_wire_name
from asyncdsm.integration.formats.transactions import CELERY_CONSUME, extract_from_pairs
from asyncdsm_kombu.tracking import connection_of, is_followed
from asyncdsm_kombu.transports import hook_transport, type_of

_CALLBACK = list(signature(Queue.consume).parameters).index("callback") - 1


def hook_consume(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.consume`, which a `Consumer` calls for each of its queues."""

    def consume_hooked(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            callback = args[_CALLBACK] if len(args) > _CALLBACK else kwargs.get("callback")
            edge = None if callback is None else _find_edge(self)
            if edge is not None and not _fetches_ahead(callback):
                wrapped = _wrap_callback(self, edge, callback)
                if len(args) > _CALLBACK:
                    args = (*args[:_CALLBACK], wrapped, *args[_CALLBACK + 1 :])
                else:
                    kwargs = {**kwargs, "callback": wrapped}
        except Exception as error:
            report_hook_error(error)
        return original(self, *args, **kwargs)

    return consume_hooked


def hook_get(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Queue.get` and `SimpleQueue.get`. **Hot**.

    What a `SimpleQueue` has fetched ahead may go back to the broker, so a message counts when it is handed out.
    """

    def get(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        edge = None
        try:
            edge = _find_edge(self.queue if isinstance(self, SimpleBase) else self)
            if edge is not None:
                set_current(None)  # whoever asks for the next message has finished the last one
        except Exception as error:
            report_hook_error(error)
        message = original(self, *args, **kwargs)
        if edge is not None and message is not None:
            record_delivery(edge, message)
        return message

    return get


def record_delivery(edge: Edge, message: Any) -> None:
    """Record the consume checkpoint of a message, unless a hook below has, and make its pathway current. **Hot**."""
    try:
        if find_pathway(message) is None:
            timestamp, info, headers = message.properties.get("timestamp"), message.delivery_info, message.headers
            is_redelivered = (info is not None and info.get("redelivered") is True) or _is_celery_retry(headers)
            pathway = record_consume(edge, headers, message.body, timestamp, is_redelivered)
            if pathway is not None:
                if CELERY_CONSUME and headers and "task" in headers:
                    extract_from_pairs(CELERY_CONSUME, headers.items())
                if info is None:
                    info = message.delivery_info = {}
                store_entry((id(info), info, pathway))
    except Exception as error:
        set_current(None)
        report_hook_error(error)


def _is_celery_retry(headers: Any) -> bool:
    """Say whether a message is a task of Celery that failed before: Celery sends it again, as a new message."""
    return bool(headers) and type(retries := headers.get("retries")) is int and retries > 0 and "task" in headers


def find_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a message that was counted, None for any other.

    It is stored by the delivery info, which Kombu's message and the transport's message share.
    """
    info = message.delivery_info
    return None if info is None else lookup_pathway(info, info)


def _wrap_callback(queue: Any, edge: Edge, callback: Any) -> Any:
    """Return the function to call in place of a consumer's callback."""

    @functools.wraps(callback)
    def run_callback(message: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not _is_counted(queue):
            return callback(message, *args, **kwargs)
        before = snapshot()
        record_delivery(edge, message)
        try:
            return callback(message, *args, **kwargs)
        finally:
            set_current(before)

    return run_callback


def _is_counted(queue: Any) -> bool:
    """Say whether a consumer's messages still count: its connection is followed, and it does not wait for a reply."""
    try:
        return is_followed(connection_of(queue.channel)) and not is_left_out(to_wire_name(queue.name), queue.exclusive)
    except Exception as error:
        report_hook_error(error)
        return False


def _fetches_ahead(callback: Any) -> bool:
    """Say whether a callback is that of a `SimpleQueue`'s consumer, which only puts messages into a buffer."""
    callbacks = getattr(getattr(callback, "__self__", None), "callbacks", None) or ()
    return any(isinstance(getattr(called, "__self__", None), SimpleBase) for called in callbacks)


def _find_edge(queue: Any) -> Edge | None:
    """Return the edge of consuming from a queue; None if its connection is not followed, or the queue is left out."""
    connection = connection_of(queue.channel)
    if connection is None or not is_followed(connection):
        return None
    name, type_ = to_wire_name(queue.name), type_of(connection)
    hook_transport(queue.channel, type_)
    return None if is_left_out(name, queue.exclusive) else in_edges[name, type_]
