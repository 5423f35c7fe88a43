"""Enqueuing messages: the context among the options, and a checkpoint when the broker has taken the message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def hook_enqueue(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Broker.enqueue`, which sends every message: of actors, groups and pipelines, and those to be tried again.

    The client below the broker counts nothing.
    """

    def enqueue(broker: Any, /, message: Any, *args: Any, **kwargs: Any) -> Any:
        pending, sent = prepare_message(message) or (None, message)
        with suppress_nested_checkpoints():
            result = original(broker, sent, *args, **kwargs)
        if pending is not None:
            count_message(pending, message)
        return message if result is sent else result  # as the broker would have returned it

    return enqueue


def hook_emit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Broker.emit_before` and `emit_after`: what a middleware sends while a message is enqueued counts."""

    def emit(broker: Any, /, signal: Any, *args: Any, **kwargs: Any) -> Any:
        if signal != "enqueue":
            return original(broker, signal, *args, **kwargs)
        with allow_nested_checkpoints():
            return original(broker, signal, *args, **kwargs)

    return emit


@guarded
def prepare_message(message: Any) -> tuple[PendingProduce, Any] | None:
    """Return the checkpoint of a message and a copy of it that has the context among its options.

    None while nothing measures, and for a delayed message whose time has come: the worker's thread that reads the queue
    moves it, with the context that it has.
    """
    pending = begin_produce(out_edges[find_queue(message)])
    if pending is None:
        return None
    try:
        return pending, message.copy(options={HEADER: pending.header.decode()})
    except Exception:  # options that are no dict, for example
        record_not_propagated()
        return pending, message


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
