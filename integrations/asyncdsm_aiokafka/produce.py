"""Single records: followed where they enter the accumulator, serialized, and with their partition known.

At that point the client has checked the record's size and waited for metadata, and the headers are no longer the
caller's. The checkpoint counts once the accumulator has taken the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asyncdsm.integration import (
    PendingProduce,
    before,
    finish_produce,
    record_not_propagated,
    report_hook_error,
)
from asyncdsm.integration.formats.kafka import HEADER_RESERVE
from asyncdsm.integration.formats.kafka_headers import Header, begin_with_headers
from asyncdsm.integration.formats.transactions import KAFKA_PRODUCE, extract_from_pairs
from asyncdsm_aiokafka.client import Client, client_of


def hook_add_message(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `MessageAccumulator.add_message`. **Hot**."""

    async def add_message(  # noqa: PLR0917  (the client's signature)
        self: Any,
        tp: Any,
        key: Any,
        value: Any,
        timeout: Any,  # noqa: ASYNC109
        timestamp_ms: Any = None,
        headers: Any = (),
        *args: Any,
        **more: Any,
    ) -> Any:
        pending = None
        try:
            pending, headers = add_context(client_of(self._cluster), tp.topic, key, value, headers)
        except Exception as error:
            report_hook_error(error)
        if args or more:  # of a later release; to pass on what is mostly empty takes 0.4 µs
            future = await original(self, tp, key, value, timeout, timestamp_ms, headers, *args, **more)
        else:
            future = await original(self, tp, key, value, timeout, timestamp_ms, headers)
        if pending is not None:
            finish_produce(pending)
            if KAFKA_PRODUCE:
                extract_from_pairs(KAFKA_PRODUCE, headers)
        return future

    return add_message


def add_context(
    client: Client, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[Header]
) -> tuple[PendingProduce | None, Sequence[Header]]:
    """Return a record's checkpoint, to be counted later, and the headers to send: a copy with the context if it fits.

    Headers that the client would reject are returned unchanged, without a checkpoint. **Hot**.
    """
    try:
        size = (len(key) if key else 0) + (len(value) if value else 0)
        edge = client.out_edges[topic]
    except (TypeError, ValueError):
        return None, headers
    limit = client.size_limits.get(topic, client.largest_message)
    pending, sent = begin_with_headers(edge, headers, size, limit - HEADER_RESERVE if client.adds_headers else None)
    if pending is not None and sent is headers:
        record_not_propagated()
    return pending, sent


@before
def observe_producer_start(producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.start`."""
    learn_size_limit(producer)


def learn_size_limit(producer: Any) -> None:
    """Learn the size of the largest record that this producer may send."""
    limit = getattr(producer, "_max_request_size", None)
    if isinstance(limit, int):
        client_of(producer.client.cluster).largest_message = limit
