"""Messages received: each counts when the program gets it from `client.messages`, in the task that gets it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from asyncdsm.integration import (
    Pathway,
    consume,
    incoming_pathway,
    lookup_pathway,
    mark_async,
    receive_async,
    report_hook_error,
    set_current,
    store_entry,
)
from asyncdsm.integration.formats.mqtt import in_edges, is_left_out, read_pairs, topics
from asyncdsm_aiomqtt.connection import Connection, find_followed
from asyncdsm_aiomqtt.produce import PAIRS


def hook_next(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `__anext__` of `client.messages`."""

    def get_next(iterator: Any, /, *args: Any, **kwargs: Any) -> Any:
        ask = partial(original, iterator, *args, **kwargs)
        return receive_async(ask, partial(_finish_last, iterator), partial(_record_message, iterator))

    return mark_async(get_next)


def _record_message(iterator: Any, message: Any) -> Any:
    count_message(iterator, message)
    return message


def _finish_last(iterator: Any) -> None:
    """Let no pathway be current: whoever asks for the next message has finished the last one."""
    try:
        if find_followed(iterator._client) is not None:
            set_current(None)
    except Exception as error:
        report_hook_error(error)


def count_message(iterator: Any, message: Any) -> None:
    """Record the consume checkpoint of a message, and make its pathway current. **Hot**."""
    try:
        connection = find_followed(iterator._client)
        if connection is not None:
            _consume(connection, message)
    except Exception as error:
        set_current(None)
        report_hook_error(error)


def _consume(connection: Connection, message: Any) -> None:
    name = message.topic.value
    if is_left_out(name):
        set_current(None)
        return
    header, size = _read_properties(message)
    edge = in_edges[topics[name], connection.find_group(message.topic)]
    pathway = consume(edge, header, len(message.payload) + size)
    if pathway is not None:
        store_entry((id(message), *_place_of(message), pathway))


def _read_properties(message: Any) -> tuple[str | None, int]:
    """Return the context that a message continues, and how many bytes its user properties have.

    A message that the broker has kept for new subscribers continues none: its age is not a time in a queue.
    """
    properties = message.properties
    if properties is None:
        return None, 0
    header, size = read_pairs(vars(properties).get(PAIRS, ()))
    return None if message.retain else header, size


def find_publication_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a message: of its delivery if that was counted, or else the one that it brings."""
    return lookup_pathway(message, _place_of(message)) or incoming_pathway(_read_properties(message)[0])


def _place_of(message: Any) -> tuple[Any, ...]:
    return message.topic.value, message.mid, id(message.payload)
