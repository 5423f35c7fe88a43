"""Offsets that were really committed: awaited, told to `on_commit`, or in a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.integration.formats.kafka import record_committed
from asyncdsm.integration.hooks import after, before
from asyncdsm_confluent.client import Client, client_of, group_in
from asyncdsm_confluent.reports import settle


def telling(client: Client, users: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return an `on_commit` that records what was committed, then does what the program's own does.

    Auto-commits and those that nobody waits for are told nowhere else.
    """

    def on_commit(error: Any, partitions: Any, *more: Any, **named: Any) -> Any:
        try:
            if error is None and client.is_followed:
                record(client, client.group, partitions)
        except Exception as failure:
            report_hook_error(failure)
        return None if users is None else users(error, partitions, *more, **named)

    return on_commit


@after
def note_commit(result: Any, consumer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Consumer.commit`: one that is waited for returns what was committed, and does not call `on_commit`."""
    if result is not None:
        client = client_of(consumer)
        record(client, client.group, result)


def record(client: Client, group: str | None, partitions: Iterable[Any]) -> None:
    """Record committed offsets, but for partitions that have none, or an error of their own."""
    if group:
        for tp in partitions:
            if tp.error is None:
                record_committed(group, tp.topic, tp.partition, tp.offset, client.cluster_id)


@after
def note_transaction_offsets(
    _result: Any, producer: Any, offsets: Any, group_metadata: Any, *_args: Any, **_more: Any
) -> None:
    """Observe `Producer.send_offsets_to_transaction`: they count when the transaction is committed."""
    client_of(producer).transaction.append((group_in(group_metadata), list(offsets)))


@after
def note_transaction(_result: Any, producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Producer.commit_transaction`, which flushes too."""
    client = client_of(producer)
    settle(client, producer)
    committed, client.transaction = client.transaction, []
    for group, offsets in committed:
        record(client, group, offsets)


@before
def forget_transaction(producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `Producer.abort_transaction`."""
    client_of(producer).transaction.clear()
