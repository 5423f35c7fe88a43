"""Delivery reports: the latest offsets that the broker acknowledged, and what it rejects because of a header."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError

from asyncdsm.integration import after, report_hook_error
from asyncdsm.integration.formats.kafka import read_offset
from asyncdsm_confluent.client import Client, client_of

HEADER_REJECTIONS: frozenset[int] = frozenset(
    {
        KafkaError.UNKNOWN,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
    }
)
"""How a broker may answer that it takes no headers."""


def wrap_on_delivery(client: Client, on_delivery: Any, size: int | None) -> Any:
    """Return the callback to pass with a message of `size` bytes: that of asyncdsm, then the program's own."""
    if on_delivery is None:
        on_delivery = client.on_delivery
        if not client.can_add_reports:
            return None
    if on_delivery is None:
        return partial(take_report, client, size)
    return partial(_take_report_and_call, client, size, on_delivery) if callable(on_delivery) else on_delivery


def take_report(client: Client, size: int | None, /, error: Any, message: Any, *_args: Any, **_more: Any) -> None:
    """Take what the broker answered. **Hot**.

    C's callbacks must not call C's clients: that waits for `record_reports`.
    """
    try:
        if error is not None:
            if error.code() in HEADER_REJECTIONS:
                client.stop_adding_headers(None if message is None else message.topic(), error)
            elif error.code() == KafkaError.MSG_SIZE_TOO_LARGE and size is not None:
                _keep_largest(client.too_large, message.topic(), size, error)
        elif (offset := read_offset(message.offset())) is not None:  # with acks=0, there is no offset
            # The latest is the highest, unless the cluster became another one meanwhile.
            client.acknowledged[message.topic(), message.partition()] = offset
    except Exception as failure:
        report_hook_error(failure)


def _keep_largest(too_large: dict[str, tuple[int, Any]], topic: str, size: int, error: Any) -> None:
    """Keep the largest: a batch is rejected as a whole, and its small messages are not the reason."""
    if topic not in too_large or size > too_large[topic][0]:
        too_large[topic] = size, error


def _take_report_and_call(
    client: Client,
    size: int | None,
    on_delivery: Callable[..., Any],
    /,
    error: Any,
    message: Any,
    *more: Any,
    **named: Any,
) -> Any:
    take_report(client, size, error, message)
    return on_delivery(error, message, *more, **named)


@after
def observe_callbacks(_result: Any, producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe the methods that call delivery callbacks: `poll`, `flush`, and those that flush as well."""
    record_reports(client_of(producer), producer)


def record_reports(client: Client, producer: Any) -> None:
    """Record the offsets in the delivery reports since the last call, and learn from what the broker rejected."""
    offsets = client.acknowledged
    client.ask_cluster_id(producer, has_answered=bool(offsets))
    for partition in list(offsets):
        client.record_produced(*partition, offsets.pop(partition, None))  # another thread may have taken it
    while client.too_large:
        topic, (size, error) = client.too_large.popitem()
        client.learn_size_limit(topic, size, error)
