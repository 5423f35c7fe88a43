"""Processing messages: each is current in its worker thread until it is acknowledged.

Until then dramatiq enqueues what follows from it: another try, the next message of a pipeline, a group's callbacks. The
coroutine of an async actor begins with a copy of that thread's context variables.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from asyncdsm.integration import (
    HEADER,
    Layer,
    Pathway,
    close_layer,
    consume,
    count_deliveries,
    guarded,
    lookup_pathway,
    open_layer,
    peek_consume,
    set_current,
    store_entry,
)
from asyncdsm.integration.formats.kafka import read_time
from asyncdsm.integration.formats.transactions import DRAMATIQ_CONSUME, extract_from_pairs
from asyncdsm_dramatiq.client import find_queue, in_edges, is_redelivered, read_context

_processed: ContextVar[Any] = ContextVar("asyncdsm_dramatiq_processed", default=None)
"""The message that this worker thread processes."""
_layers: WeakKeyDictionary[Any, Layer] = WeakKeyDictionary()
"""By thread that reads a queue."""


@guarded
def begin_processing(message: Any) -> None:
    """Record that a message was taken from its queue, and make its pathway current. Does nothing the second time."""
    if _processed.get() is message:
        return
    _processed.set(message)
    set_current(None)
    stored = getattr(message, "_message", message)  # the proxy looks each attribute up there, which takes 0.4 µs
    edge, header = in_edges[find_queue(stored)], read_context(stored)
    pathway = consume(edge, header, None, read_time(stored.message_timestamp) if header is None else None)
    if pathway is not None:
        store_entry((id(message), stored.message_id, pathway))
        count_deliveries(edge, redelivered=is_redelivered(message))
        options = stored.options
        if DRAMATIQ_CONSUME:
            extract_from_pairs(DRAMATIQ_CONSUME, options.items())
        # The program sees the options that it would see without asyncdsm.
        options.pop(HEADER, None)


@guarded
def end_processing(message: Any) -> None:
    """Let no pathway be current after a message."""
    if _processed.get() is message:
        _processed.set(None)
        set_current(None)


@guarded
def begin_reading(thread: Any) -> None:
    """Let the client below count nothing in a thread that reads a queue: messages count when they are processed.

    Does nothing the second time, for a broker that has the middleware twice.
    """
    if thread not in _layers:
        _layers[thread] = layer = open_layer()
        set_current(layer)


@guarded
def end_reading(thread: Any) -> None:
    """Undo `begin_reading`."""
    layer = _layers.pop(thread, None)
    if layer is not None:
        close_layer(layer)


def pathway_of_message(message: Any) -> Pathway | None:
    """Return the pathway of a message that is being processed, or was lately; of another one, from its options."""
    pathway = lookup_pathway(message, message.message_id)
    if pathway is not None:
        return pathway
    return peek_consume(in_edges[find_queue(message)], read_context(message), read_time(message.message_timestamp))
