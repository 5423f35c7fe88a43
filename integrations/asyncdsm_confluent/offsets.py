"""Offsets that were committed: by a call that waits, as reported to `on_commit`, or in a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from asyncdsm.integration import after, before, guarded
from asyncdsm.integration.formats.kafka import Place
from asyncdsm_confluent.client import Client, client_of, read_group
from asyncdsm_confluent.delivery_reports import record_reports


def wrap_on_commit(client: Client, on_commit: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return a callback that records what was committed, then calls the program's own.

    Automatic commits, and those that nobody waits for, are reported nowhere else.
    """

    def call(error: Any, partitions: Any, /, *more: Any, **named: Any) -> Any:
        if error is None and client.is_followed:
            _record_commits(client, partitions)
        return None if on_commit is None else on_commit(error, partitions, *more, **named)

    return call


@after
def observe_commit(result: Any, consumer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Consumer.commit`: one that waits returns what was committed, and does not call `on_commit`."""
    if result is not None:
        _record_commits(client_of(consumer), result)


@guarded
def _record_commits(client: Client, partitions: Iterable[Any]) -> None:
    client.record_commits(client.group, read_commits(partitions))


def read_commits(partitions: Iterable[Any]) -> Iterator[Place]:
    """Return committed offsets, without partitions that failed."""
    return ((tp.topic, tp.partition, tp.offset) for tp in partitions if tp.error is None)


@after
def observe_transaction_offsets(
    _result: Any, producer: Any, /, offsets: Any, group_metadata: Any, *_args: Any, **_more: Any
) -> None:
    """Observe `Producer.send_offsets_to_transaction`: they count when the transaction is committed."""
    client_of(producer).transaction.append((read_group(group_metadata), list(read_commits(offsets))))


@after
def observe_commit_transaction(_result: Any, producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Producer.commit_transaction`, which flushes too."""
    client = client_of(producer)
    record_reports(client, producer)
    client.record_transaction()


@before
def observe_abort_transaction(producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `Producer.abort_transaction`."""
    client_of(producer).transaction.clear()
