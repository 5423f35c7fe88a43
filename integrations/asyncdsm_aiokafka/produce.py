"""Single records: followed where they enter the accumulator, serialized, and with their partition known.

At that point the client has checked the record's size and waited for metadata, and the headers are no longer the
caller's. The checkpoint counts once the accumulator has taken the record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncdsm.integration import before, finish_produce, report_hook_error
from asyncdsm.integration.formats.kafka_records import add_context
from asyncdsm.integration.formats.transactions import KAFKA_PRODUCE, extract_from_pairs
from asyncdsm_aiokafka.client import client_of


def hook_add_message(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `MessageAccumulator.add_message`. **Hot**."""

    async def add_message(  # noqa: PLR0917  (the client's signature)
        self: Any,
        /,
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


@before
def observe_producer_start(producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.start`."""
    learn_size_limit(producer)


def learn_size_limit(producer: Any) -> None:
    """Learn the size of the largest record that this producer may send."""
    limit = getattr(producer, "_max_request_size", None)
    if isinstance(limit, int):
        client_of(producer.client.cluster).largest_message = limit
