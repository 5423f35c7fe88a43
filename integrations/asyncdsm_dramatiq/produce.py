"""Enqueuing messages: the context among the stored options, and a checkpoint when the broker has taken the message."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from dramatiq import Message

from asyncdsm.integration import (
    HEADER,
    PendingProduce,
    allow_nested_checkpoints,
    begin_produce,
    finish_produce,
    guarded,
    record_not_propagated,
    suppress_nested_checkpoints,
)
from asyncdsm.integration.formats.transactions import DRAMATIQ_PRODUCE, extract_from_pairs
from asyncdsm_dramatiq.client import find_queue, out_edges


class Enqueuing:
    """A message that is being enqueued."""

    __slots__ = ("has_context", "header", "message_id", "pending")

    def __init__(self, pending: PendingProduce, message_id: Any) -> None:
        self.pending: PendingProduce = pending
        self.header: str = pending.header.decode()
        self.message_id: Any = message_id
        self.has_context: bool = False
        """Whether the message was encoded with its context."""


_enqueuing: ContextVar[Enqueuing | None] = ContextVar("asyncdsm_dramatiq_enqueuing", default=None)
"""The message that is to be encoded with its context."""


def hook_enqueue(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Broker.enqueue`, which sends every message: of actors, groups and pipelines, and those to be tried again.

    The client below the broker counts nothing. The broker gets, and returns, what it would without asyncdsm: the
    context is added where the message is encoded.
    """

    def enqueue(broker: Any, /, message: Any, *args: Any, **kwargs: Any) -> Any:
        enqueuing, around = begin_enqueuing(message), _enqueuing.get()
        _enqueuing.set(enqueuing)
        try:
            with suppress_nested_checkpoints():
                result = original(broker, message, *args, **kwargs)
        finally:
            _enqueuing.set(around)
        if enqueuing is not None:
            count_message(enqueuing.pending, message)
            if not enqueuing.has_context:
                record_not_propagated()
        return result

    return enqueue


def hook_emit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Broker.emit_before` and `emit_after`: what a middleware sends while a message is enqueued counts.

    A middleware that encodes the message itself does so without the context.
    """

    def emit(broker: Any, /, signal: Any, *args: Any, **kwargs: Any) -> Any:
        if signal != "enqueue":
            return original(broker, signal, *args, **kwargs)
        around = _enqueuing.get()
        _enqueuing.set(None)
        try:
            with allow_nested_checkpoints():
                return original(broker, signal, *args, **kwargs)
        finally:
            _enqueuing.set(around)

    return emit


def hook_encode(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Message.encode`: the message that is being enqueued is encoded with its context."""

    def encode(message: Any, /, *args: Any, **kwargs: Any) -> Any:
        return original(_add_context(message) or message, *args, **kwargs)

    return encode


@guarded
def _add_context(message: Any) -> Any:
    """Return a copy of the message that is being enqueued, with its context; None for any other message."""
    enqueuing = _enqueuing.get()
    if enqueuing is None or enqueuing.message_id != message.message_id:
        return None
    try:
        copied = _copy_with(message, enqueuing.header)
    except Exception:  # options that are no dict, for example
        return None
    enqueuing.has_context = True
    return copied


def _copy_with(message: Any, header: str) -> Any:
    if type(message) is not Message:
        return message.copy(options={HEADER: header})
    copied = object.__new__(Message)  # `copy` takes 2.5 µs
    vars(copied).update(vars(message), options={**message.options, HEADER: header})
    return copied


@guarded
def begin_enqueuing(message: Any) -> Enqueuing | None:
    """Return what is to be counted when the broker has taken the message.

    None while nothing measures, and for a delayed message whose time has come: the worker's thread that reads the queue
    moves it, with the context that it has.
    """
    pending = begin_produce(out_edges[find_queue(message)])
    return None if pending is None else Enqueuing(pending, getattr(message, "message_id", None))


@guarded
def count_message(pending: PendingProduce, message: Any) -> None:
    """Count a message that the broker has taken."""
    finish_produce(pending)
    if DRAMATIQ_PRODUCE:
        extract_from_pairs(DRAMATIQ_PRODUCE, message.options.items())


@guarded
def count_unprepared(message: Any) -> None:
    """Count a message that was enqueued before its broker was followed. It carries no context."""
    pending = begin_produce(out_edges[find_queue(message)])
    if pending is not None:
        count_message(pending, message)
        record_not_propagated()
