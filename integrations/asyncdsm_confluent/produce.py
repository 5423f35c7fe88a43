"""Messages that a producer sends: hooked right above C, below serializers. A message counts once C has taken it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from asyncdsm.integration import (
    PendingProduce,
    ensure_recorder,
    finish_produce,
    guarded,
    record_not_propagated,
    report_hook_error,
    warn_once,
)
from asyncdsm.integration.formats.kafka import HEADER_RESERVE, read_pairs
from asyncdsm.integration.formats.kafka_headers import begin_with_headers, size_of
from asyncdsm.integration.formats.transactions import KAFKA_PRODUCE, extract_from_pairs
from asyncdsm_confluent.client import Client, client_of
from asyncdsm_confluent.delivery_reports import wrap_on_delivery
from asyncdsm_confluent.schemas import note_produced_schema, produced_subjects


def hook_produce(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.produce`. **Hot**."""

    def produce(  # noqa: PLR0917  (C's signature)
        self: Any,
        /,
        topic: Any,
        value: Any = None,
        key: Any = None,
        partition: Any = -1,
        callback: Any = None,
        on_delivery: Any = None,
        timestamp: Any = 0,
        headers: Any = None,
        *args: Any,
        **more: Any,
    ) -> Any:
        client, pending, sent = None, None, headers
        if callback is None:
            callback = on_delivery
        try:
            client = client_of(self)
            if not client.is_inside_aio and ensure_recorder() is not None:
                pending, sent = add_context(client, topic, value, key, headers, adds_header=client.adds_headers)
                callback = wrap_on_delivery(client, callback, None if pending is None else pending.size)
        except Exception as error:
            report_hook_error(error)
        try:
            if args or more:  # of a later release; to pass on what is mostly empty takes 0.1 µs
                result = original(self, topic, value, key, partition, callback, None, timestamp, sent, *args, **more)
            else:
                result = original(self, topic, value, key, partition, callback, None, timestamp, sent)
        except KafkaException as error:
            if client is None or sent is headers or error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                raise
            # The context made it too large.
            pending, sent = begin_without_context(client, topic, value, key, headers), headers
            result = original(self, topic, value, key, partition, callback, None, timestamp, headers, *args, **more)
        if pending is not None:
            count_produced(pending, headers, is_propagated=sent is not headers)
            if produced_subjects and client is not None and topic in produced_subjects:
                note_produced_schema(client.out_edges[topic], topic, value)
        return result

    return produce


def hook_produce_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.produce_batch`, whose messages take no headers: they are counted, and carry no context."""

    def produce_batch(self: Any, /, topic: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
        all_pending = _begin_batch(self, topic, messages) or []
        result = original(self, topic, messages, *args, **kwargs)
        for pending, message in zip(all_pending, messages, strict=False):
            if pending is not None and "_error" not in message:  # C's mark of a message that it did not take
                count_produced(pending, None, is_propagated=False)
        return result

    return produce_batch


@guarded
def _begin_batch(producer: Any, topic: Any, messages: Any) -> list[PendingProduce | None] | None:
    client = client_of(producer)
    if client.is_inside_aio or ensure_recorder() is None or not isinstance(messages, list):
        return None
    warn_no_headers("Producer.produce_batch", "Producer.produce")
    return [
        add_context(client, topic, message.get("value"), message.get("key"), None, adds_header=False)[0]
        if isinstance(message, dict)
        else None
        for message in messages
    ]


@guarded
def warn_no_headers(method: str, instead: str) -> None:
    """Warn once of a method that takes no headers."""
    warn_once(
        f"no-headers-{method}",
        "asyncdsm counts the messages of confluent-kafka's %s, but they carry no context: it takes no headers in this "
        "version. Use %s for messages whose pathway should go on",
        method,
        instead,
    )


def count_produced(pending: PendingProduce, headers: Any, *, is_propagated: bool) -> None:
    """Count a message that the client took with the caller's headers, and whether it has a context. Never raises."""
    finish_produce(pending)
    if not is_propagated:
        record_not_propagated()
    if KAFKA_PRODUCE:
        extract_from_pairs(KAFKA_PRODUCE, read_pairs(headers))


def add_context(
    client: Client, topic: Any, value: Any, key: Any, headers: Any, *, adds_header: bool
) -> tuple[PendingProduce | None, Any]:
    """Return a message's checkpoint, and the headers to send: a copy with the context, or the caller's own. **Hot**.

    For a topic or headers that C would reject, there is no checkpoint, and the headers are returned unchanged.
    """
    if not isinstance(topic, str) or (headers is not None and not isinstance(headers, (dict, list))):
        return None, headers
    size = len(value) if value.__class__ is bytes else size_of(value)
    if key is not None:
        size += size_of(key)
    limit = client.size_limits.get(topic, client.largest_message)
    room = limit - HEADER_RESERVE if adds_header else None
    if not isinstance(headers, dict):
        return begin_with_headers(client.out_edges[topic], headers, size, room)
    pending, sent = begin_with_headers(client.out_edges[topic], given := list(headers.items()), size, room)
    return pending, headers if sent is given else sent


@guarded
def begin_without_context(client: Client, topic: str, value: Any, key: Any, headers: Any) -> PendingProduce | None:
    """Return the checkpoint of a message that was rejected with a context, and is sent again without one."""
    return add_context(client, topic, value, key, headers, adds_header=False)[0]
