"""Offsets: those that the broker gave to records, and those that were committed."""

from __future__ import annotations

from functools import partial
from typing import Any

from kafka.errors import (
    MessageSizeTooLargeError,
    UnknownError,
    UnsupportedForMessageFormatError,
    UnsupportedVersionError,
)

from asyncdsm.integration import after, before, guarded
from asyncdsm.integration.formats.kafka import read_name
from asyncdsm.integration.formats.kafka_records import read_commits
from asyncdsm_kafka_python.client import Client, follow_producer

HEADER_REJECTIONS: tuple[type[Exception], ...] = (
    UnknownError,
    UnsupportedForMessageFormatError,
    UnsupportedVersionError,
)
"""How a broker may answer that it takes no headers."""


@guarded
def await_answer(client: Client, future: Any, topic: str, size: int | None) -> None:
    """Have the offset of a record recorded when the broker has acknowledged it, or learn why it did not."""
    if client.has_answers:
        future.add_callback(partial(_record_acknowledged, client))
    future.add_errback(partial(_learn_from_error, client, topic, size))


@guarded
def _record_acknowledged(client: Client, metadata: Any) -> None:
    client.record_produced(metadata.topic, metadata.partition, metadata.offset)


@guarded
def _learn_from_error(client: Client, topic: str, size: int | None, error: Any) -> None:
    if isinstance(error, HEADER_REJECTIONS):
        client.stop_adding_headers(topic, error)
    elif isinstance(error, MessageSizeTooLargeError) and size is not None:
        client.learn_size_limit(topic, size, error)


@after
def observe_commit(_result: Any, coordinator: Any, /, offsets: Any, *_args: Any, **_more: Any) -> None:
    """Observe `ConsumerCoordinator._handle_offset_commit_response`, in which explicit and automatic commits end.

    It raises where the commit has failed.
    """
    client: Client | None = getattr(coordinator, "_asyncdsm", None)
    if client is not None:
        client.record_commits(client.group, read_commits(offsets))


@after
def observe_transaction_offsets(
    _result: Any, producer: Any, /, offsets: Any, group_metadata: Any, *_args: Any, **_more: Any
) -> None:
    """Observe `KafkaProducer.send_offsets_to_transaction`: they count when the transaction is committed."""
    group = read_name(getattr(group_metadata, "group_id", group_metadata))
    follow_producer(producer).transaction.append((group, list(read_commits(offsets))))


@after
def observe_commit_transaction(_result: Any, producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `KafkaProducer.commit_transaction`."""
    follow_producer(producer).record_transaction()


@before
def observe_abort_transaction(producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `KafkaProducer.abort_transaction`."""
    follow_producer(producer).transaction.clear()
