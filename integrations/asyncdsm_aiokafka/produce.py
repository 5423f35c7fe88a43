"""Single records: followed where they enter the accumulator, serialized, and with their partition known.

At that point the client has checked the record's size and waited for metadata, and the headers are no longer the
caller's. The checkpoint counts once the accumulator has taken the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asyncdsm.integration import (
    HEADER,
    PendingProduce,
    before,
    begin_produce,
    finish_produce,
    record_not_propagated,
    report_hook_error,
)
from asyncdsm.integration.formats.kafka import HEADER_FRAME, HEADER_RESERVE, KEY_BYTES
from asyncdsm_aiokafka.client import Client, client_of

Header = tuple[str, bytes | None]


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
        return future

    return add_message


def add_context(
    client: Client, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[Header]
) -> tuple[PendingProduce | None, Sequence[Header]]:
    """Return a record's checkpoint, to be counted later, and the headers to send: a copy with the context if it fits.

    Headers that the client would reject are returned unchanged, without a checkpoint. **Hot**.
    """
    sent: list[Header] = []
    try:
        size = (len(key) if key else 0) + (len(value) if value else 0)
        if headers:
            sent = remove_context(headers)
            for name, text in sent:
                size += (len(name) if name.isascii() else len(name.encode())) + (len(text) if text else 0)
        edge = client.out_edges[topic]
    except (AttributeError, TypeError, ValueError, LookupError):
        return None, headers
    room = client.size_limits.get(topic, client.largest_message) - HEADER_RESERVE - HEADER_FRAME * len(sent)
    # A context that the caller forwarded makes room for the new one, which is as long.
    fits = client.adds_headers and (size <= room or len(sent) < len(headers))
    pending = begin_produce(edge, size, KEY_BYTES if fits else None)
    if pending is None:
        return None, headers
    if not fits:
        record_not_propagated()
        return pending, list(headers)
    sent.append((HEADER, pending.header))
    return pending, sent


def remove_context(headers: Sequence[Header]) -> list[Header]:
    """Return a copy of the headers without a context that the caller forwarded: the record gets its own."""
    return [header for header in headers if header[0] != HEADER]


@before
def observe_producer_start(producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.start`."""
    learn_size_limit(producer)


def learn_size_limit(producer: Any) -> None:
    """Learn the size of the largest record that this producer may send."""
    limit = getattr(producer, "_max_request_size", None)
    if isinstance(limit, int):
        client_of(producer.client.cluster).largest_message = limit
