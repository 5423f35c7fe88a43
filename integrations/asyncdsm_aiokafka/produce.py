"""Single records: hooked where they enter the accumulator, serialized and with their partition known.

The caller's headers were not touched, the client's own check of the record's size is done, and the wait for metadata
is over. The checkpoint counts when the accumulator has taken the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asyncdsm.core import checkpoint
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import HEADER
from asyncdsm.core.recorder import Sample
from asyncdsm.integration.hooks import before
from asyncdsm_aiokafka.client import Client, client_of

Header = tuple[str, bytes | None]

KEY_BYTES = len(HEADER)
ROOM_FOR_HEADER = 128
"""A record this near to the largest that may be sent gets no context: with one, the broker would refuse it."""


def add_message(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `MessageAccumulator.add_message`."""

    async def add_message(  # noqa: PLR0917  (as the client has it)
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
        sample = None
        try:
            sample, headers = addressed(client_of(self._cluster), tp.topic, key, value, headers)
        except Exception as error:
            report_hook_error(error)
        if args or more:  # of a version to come; to hand on whatever there is takes 0.4 µs
            future = await original(self, tp, key, value, timeout, timestamp_ms, headers, *args, **more)
        else:
            future = await original(self, tp, key, value, timeout, timestamp_ms, headers)
        if sample is not None:
            checkpoint.finish_produce(sample)
        return future

    return add_message


def addressed(
    client: Client, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[Header]
) -> tuple[Sample | None, Sequence[Header]]:
    """Return a record's checkpoint, to be counted, and the headers to send: a copy, with ours in it where it may be.

    What the client would not take stays as it is, for the client to refuse.
    """
    sent: list[Header] = []
    try:
        size = (len(key) if key else 0) + (len(value) if value else 0)
        if headers:
            sent = without_ours(headers)
            for name, text in sent:
                size += len(name) + (len(text) if text else 0)
        edge = client.out[topic]
    except (TypeError, ValueError, LookupError):
        return None, headers
    fits = client.injects and size + ROOM_FOR_HEADER <= client.largest_record
    parts = checkpoint.begin_produce(edge, size, KEY_BYTES if fits else None)
    if parts is None:
        return None, headers
    wire, sample = parts
    if not fits:
        checkpoint.record_not_propagated()
        return sample, list(headers)
    sent.append((HEADER, wire))
    return sample, sent


def without_ours(headers: Sequence[Header]) -> list[Header]:
    """Return a copy of the headers without a context that the caller forwarded: ours takes its place."""
    return [header for header in headers if header[0] != HEADER]


@before
def note_start(producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.start`."""
    learn_limit(producer)


def learn_limit(producer: Any) -> None:
    """Take the size of the largest record that this producer may send."""
    limit = getattr(producer, "_max_request_size", None)
    if isinstance(limit, int):
        client_of(producer.client.cluster).largest_record = limit
