"""Offsets: the highest that the broker acknowledged, and those that were committed."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiokafka.errors import (
    MessageSizeTooLargeError,
    UnknownError,
    UnsupportedForMessageFormatError,
    UnsupportedVersionError,
)

from asyncdsm._internal.futures import peek_exception
from asyncdsm.integration import after, after_await, before, guarded
from asyncdsm.integration.formats.kafka import read_offset
from asyncdsm.integration.formats.kafka_records import read_commits
from asyncdsm_aiokafka.client import Client, client_of

HEADER_REJECTIONS: tuple[type[Exception], ...] = (
    UnknownError,
    UnsupportedForMessageFormatError,
    UnsupportedVersionError,
)
"""How a broker may answer that it takes no headers."""

BATCH_FRAME = 61
"""Bytes of a batch before its records."""


@after
def observe_batch(batch: Any, accumulator: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `MessageAccumulator._append_batch`: one callback for a whole batch, when the broker has answered."""
    batch.future.add_done_callback(partial(record_answer, client_of(accumulator._cluster), batch))


@guarded
def record_answer(client: Client, batch: Any, answer: Any) -> None:
    """Record the last offset of a batch that the broker acknowledged, or learn why it took none."""
    if answer.cancelled():
        return
    error = peek_exception(answer)
    if error is None:
        _record_acknowledged(client, batch, answer.result())
    elif isinstance(error, HEADER_REJECTIONS):
        client.stop_adding_headers(batch.tp.topic, error)
    elif isinstance(error, MessageSizeTooLargeError):
        client.learn_size_limit(batch.tp.topic, _find_largest(batch), error)


def _find_largest(batch: Any) -> int:
    """Return the bytes of a batch's largest record; on average, for a batch that the caller built."""
    sizes: list[int] = [metadata.size for _, metadata in batch._msg_futures]
    return max(sizes, default=(batch._builder.size() - BATCH_FRAME) // batch.record_count)


def _record_acknowledged(client: Client, batch: Any, metadata: Any) -> None:
    if metadata is not None and (first := read_offset(metadata.offset)) is not None:  # with acks=0, there is no offset
        client.record_produced(metadata.topic, metadata.partition, first + batch.record_count - 1)


@after_await
def observe_commit(
    _result: Any, coordinator: Any, /, _assignment: Any, offsets: Any, *_args: Any, **_more: Any
) -> None:
    """Observe `GroupCoordinator._do_commit_offsets`: explicit, automatic, rebalance and shutdown commits end here."""
    client_of(coordinator._client.cluster).record_commits(coordinator.group_id, read_commits(offsets))


@after_await
def observe_transaction_offsets(
    _result: Any, producer: Any, /, offsets: Any, group_id: Any, *_args: Any, **_more: Any
) -> None:
    """Observe `AIOKafkaProducer.send_offsets_to_transaction`: they count when the transaction is committed."""
    client_of(producer.client.cluster).transaction.append((group_id, list(read_commits(offsets))))


@after_await
def observe_commit_transaction(_result: Any, producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.commit_transaction`."""
    client_of(producer.client.cluster).record_transaction()


@before
def observe_abort_transaction(producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.abort_transaction`."""
    client_of(producer.client.cluster).transaction.clear()
