"""Single records: hooked where they enter the accumulator, serialized and with their partition known.

The caller's headers were not touched, the client's own check of the record's size is done, and the wait for metadata
is over. The checkpoint counts when the accumulator has taken the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asyncdsm import checkpoint
from asyncdsm.checkpoint import Departure
from asyncdsm.integration import hook_failed
from asyncdsm.pathway import HEADER
from asyncdsm_aiokafka.client import DEFAULT_LARGEST_RECORD, Client, client_of

Header = tuple[str, bytes | None]

ROOM_FOR_HEADER = 128
"""A record this near to the largest that may be sent gets no context: the broker would refuse it on our account."""


def add_message(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `MessageAccumulator.add_message`."""

    async def add_message(self: Any, tp: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        departure, size = None, 0
        try:
            given = kwargs.get("headers") or ()
            departure, headers, size = addressed(client_of(self._cluster), tp.topic, key, value, given)
            kwargs["headers"] = headers
        except Exception as error:
            hook_failed(error)
        future = await original(self, tp, key, value, *args, **kwargs)
        if departure is not None:
            checkpoint.depart(departure, size)
        return future

    return add_message


def addressed(
    client: Client, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[Header]
) -> tuple[Departure | None, list[Header], int]:
    """Return a record's checkpoint, the headers to send (a copy, with ours where it may be), and its size in bytes."""
    size = len(key or b"") + len(value or b"")
    for name, text in headers:
        size += len(name) + len(text or b"")
    departure = checkpoint.prepare(client.out_edge(topic))
    if departure is None:
        return None, list(headers), size
    if not client.injects or size + ROOM_FOR_HEADER > client.largest_record:
        checkpoint.not_propagated()
        return departure, list(headers), size
    ours = departure.header.encode()
    return departure, [*without_ours(headers), (HEADER, ours)], size + len(HEADER) + len(ours)


def without_ours(headers: Sequence[Header]) -> list[Header]:
    """Return a copy of the headers without a context that the caller forwarded: ours takes its place."""
    return [header for header in headers if header[0] != HEADER]


def start(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaProducer.start`."""

    async def start(self: Any) -> None:
        learn_limit(self)
        await original(self)

    return start


def learn_limit(producer: Any) -> None:
    """Take the size of the largest record that this producer may send."""
    client_of(producer.client.cluster).largest_record = getattr(producer, "_max_request_size", DEFAULT_LARGEST_RECORD)
