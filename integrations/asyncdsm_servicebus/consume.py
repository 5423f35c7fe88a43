"""Messages that are received: several at once, one by one by an iterator, or deferred ones.

A message counts when the program's code gets it, in the task or thread that gets it. `peek_messages` only looks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from asyncdsm.integration import (
    Pathway,
    count_deliveries,
    current_task,
    follow_batch,
    guarded,
    is_async,
    mark_async,
    receive_async,
    report_hook_error,
    set_current,
)
from asyncdsm.integration.formats.azure import consume_delivery, find_delivered_pathway, read_property
from asyncdsm_servicebus.edges import in_edges, is_dead_letter_queue
from asyncdsm_servicebus.messages import measure

Record = Callable[[Any, Any, Any], Any]
"""Records what a receiver returned to a task, and returns what the program gets."""


def hook_receive(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ServiceBusReceiver.receive_messages`."""
    return _hook_call(original, partial(_record_messages, redelivered=False))


def hook_receive_deferred(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ServiceBusReceiver.receive_deferred_messages`. Each of these messages was delivered before."""
    return _hook_call(original, partial(_record_messages, redelivered=True))


def hook_next(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook what a receiver's iterators call for each message. **Hot**."""
    return _hook_call(original, _record_message)


def _hook_call(original: Callable[..., Any], record: Record) -> Callable[..., Any]:
    """Hook a method that asks for messages: one that blocks, or one that returns a coroutine."""

    def call(receiver: Any, /, *args: Any, **kwargs: Any) -> Any:
        set_current(None)  # whoever asks for the next message has finished the last one
        return record(receiver, original(receiver, *args, **kwargs), None)

    def call_async(receiver: Any, /, *args: Any, **kwargs: Any) -> Any:
        asked_in = current_task()
        return receive_async(
            partial(original, receiver, *args, **kwargs),
            partial(set_current, None),
            lambda answer: record(receiver, answer, asked_in),
        )

    return mark_async(call_async) if is_async(original) else call


def _record_message(receiver: Any, message: Any, _asked_in: Any) -> Any:
    count_delivery(receiver, message)
    return message


def _record_messages(receiver: Any, messages: list[Any], asked_in: Any, *, redelivered: bool) -> list[Any]:
    return _record_batch(receiver, messages, asked_in, redelivered=redelivered) or messages


@guarded
def _record_batch(receiver: Any, messages: list[Any], asked_in: Any, *, redelivered: bool) -> list[Any]:
    """Record the messages of a batch, and return the list for the program."""
    pathways = [count_delivery(receiver, message, redelivered=redelivered) for message in messages]
    return follow_batch(messages, pathways, asked_in, [in_edges[receiver.entity_path]] * len(messages))


def count_delivery(receiver: Any, message: Any, *, redelivered: bool = False) -> Pathway | None:
    """Record the consume checkpoint of a message, and make its pathway current. **Hot**.

    Returns None, with nothing recorded or changed, if it does not count.
    """
    try:
        return _consume_delivery(receiver.entity_path, message, redelivered=redelivered)
    except Exception as error:
        set_current(None)
        report_hook_error(error)
        return None


def _consume_delivery(path: str, message: Any, *, redelivered: bool) -> Pathway | None:
    edge, raw = in_edges[path], message.raw_amqp_message
    header = read_property(raw.application_properties)
    enqueued = None if header is not None else message.enqueued_time_utc
    pathway = consume_delivery(edge, message, measure(message), header, enqueued)
    if pathway is not None:
        # `message.delivery_count` asks whether the AMQP header is empty, which takes 0.6 µs.
        redelivered = redelivered or (raw.header is not None and bool(raw.header.delivery_count))
        count_deliveries(edge, redelivered=redelivered, dead_lettered=is_dead_letter_queue(path))
    return pathway


def pathway_of_received(message: Any) -> Pathway | None:
    """Return the pathway of a message: of its delivery if that was counted, or else the one that it brings."""
    return find_delivered_pathway(message, message.application_properties, message.enqueued_time_utc)
