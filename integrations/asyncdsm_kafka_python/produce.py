"""Records that a producer sends. The checkpoint counts once the accumulator has taken the record."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from asyncdsm.integration import PendingProduce, before, finish_produce, report_hook_error
from asyncdsm.integration.formats.kafka_records import add_context
from asyncdsm.integration.formats.transactions import KAFKA_PRODUCE, extract_from_pairs
from asyncdsm_kafka_python.client import Client, follow_producer
from asyncdsm_kafka_python.offsets import await_answer

_refused: ContextVar[tuple[Any, PendingProduce | None, Any] | None] = ContextVar("asyncdsm_kafka_refused", default=None)
"""The headers of a record that the accumulator has just refused, its checkpoint, and the headers with its context."""


@before
def observe_send(producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `KafkaProducer.send`: the accumulator does not know its producer."""
    _refused.set(None)
    follow_producer(producer)


def hook_append(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `RecordAccumulator.append`. **Hot**.

    It returns a future first, or None if the producer shall choose another partition and call it again with the same.
    """

    def append(  # noqa: PLR0917  (the client's signature)
        self: Any, /, tp: Any, timestamp_ms: Any, key: Any, value: Any, headers: Any, *args: Any, **more: Any
    ) -> Any:
        client, pending, sent = None, None, headers
        try:
            client = getattr(self, "_asyncdsm", None)
            if client is not None:
                pending, sent = _prepare(client, tp.topic, key, value, headers)
        except Exception as error:
            report_hook_error(error)
        result = original(self, tp, timestamp_ms, key, value, sent, *args, **more)
        if client is not None and pending is not None:
            if result[0] is None:
                _refused.set((headers, pending, sent))
            else:
                finish_produce(pending)
                await_answer(client, result[0], tp.topic, pending.size)
                if KAFKA_PRODUCE:
                    extract_from_pairs(KAFKA_PRODUCE, sent)
        return result

    return append


def _prepare(client: Client, topic: str, key: Any, value: Any, headers: Any) -> tuple[PendingProduce | None, Any]:
    refused = _refused.get()
    if refused is not None:
        _refused.set(None)
        if refused[0] is headers:
            return refused[1:]
    client.refresh_cluster_id()
    return add_context(client, topic, key, value, headers)
