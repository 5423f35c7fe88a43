"""Delivery reports: the highest offsets that the broker acknowledged, and a broker that refuses headers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError

from asyncdsm._internal.log import warn
from asyncdsm.core import checkpoint
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.integration.formats.kafka import read_offset, record_produced
from asyncdsm.integration.hooks import after
from asyncdsm_confluent.client import Client, client_of

REFUSALS: frozenset[int] = frozenset(
    {
        KafkaError.UNKNOWN,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
    }
)
"""What a broker without headers answers to a message that has some (dd-trace-py#13313, dd-trace-js#5704)."""


def reporting(client: Client, users: Any) -> Any:
    """Return the callback to give with a message: ours, then the program's own."""
    if users is None:
        users = client.on_delivery
        if not client.reports_all:
            return None
    if users is None:
        return partial(reported, client)
    return partial(_reported_to, client, users) if callable(users) else users


def reported(client: Client, error: Any, message: Any, *_args: Any, **_more: Any) -> None:
    """Take what the broker answered. C's callbacks must not call C's clients: what needs that waits for `serving`."""
    try:
        if error is not None:
            _failed(client, error, message)
        elif (offset := read_offset(message.offset())) is not None:  # acks=0 tells none
            place = message.topic(), message.partition()
            if offset > client.acknowledged.get(place, -1):
                client.acknowledged[place] = offset
    except Exception as failure:
        report_hook_error(failure)


def _reported_to(client: Client, users: Callable[..., Any], error: Any, message: Any, *more: Any, **named: Any) -> Any:
    reported(client, error, message)
    return users(error, message, *more, **named)


def _failed(client: Client, error: Any, message: Any) -> None:
    if client.injects and error.code() in REFUSALS and checkpoint.ensure_recorder() is not None:
        client.injects = False
        warn(
            "the broker refused a message for topic %s (%r): this producer's messages carry no context from now on, in "
            "case it was their headers; checkpoints are recorded as before",
            None if message is None else message.topic(),
            error,
        )


@after
def note_reports(_result: Any, producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe the methods that call delivery callbacks: `poll`, `flush` and those that flush on their way."""
    settle(client_of(producer), producer)


def settle(client: Client, producer: Any) -> None:
    """Record the offsets that were reported."""
    waiting = client.acknowledged
    client.learn_cluster_id(producer, has_answered=bool(waiting))
    for place in list(waiting):
        offset = waiting.pop(place, None)  # another thread may be at it
        record_produced(*place, offset, client.cluster_id)
