"""Offsets that were really committed: awaited, told to `on_commit`, or in a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from asyncdsm import checkpoint, lag
from asyncdsm.hooks import hook_failed
from asyncdsm_confluent.client import Client, client_of, group_in
from asyncdsm_confluent.reports import settle


def telling(client: Client, users: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return an `on_commit` that records what was committed, then does what the program's own does.

    Auto-commits and those that nobody waits for are told nowhere else.
    """

    def on_commit(error: Any, partitions: Any) -> Any:
        if error is None:
            _committed(client, partitions)
        return None if users is None else users(error, partitions)

    return on_commit


def commit(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Consumer.commit`: one that is waited for returns what was committed, and does not call `on_commit`."""

    def commit(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if result is not None:
            _committed(client_of(self), result)
        return result

    return commit


def _committed(client: Client, partitions: Iterable[Any]) -> None:
    try:
        record(client, client.group, partitions)
    except Exception as error:
        hook_failed(error)


def record(client: Client, group: str | None, partitions: Iterable[Any]) -> None:
    """Record committed offsets, but for partitions that have none, or an error of their own."""
    aggregator = checkpoint.running()
    if aggregator is None or not group:
        return
    for tp in partitions:
        if tp.error is None and tp.offset >= 0:
            aggregator.record_offset(lag.committed_tags(group, tp.topic, tp.partition, client.cluster_id), tp.offset)


def send_offsets(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.send_offsets_to_transaction`: they count when the transaction is committed."""

    def send_offsets(self: Any, offsets: Any, group_metadata: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, offsets, group_metadata, *args, **kwargs)
        try:
            client_of(self).transaction.append((group_in(group_metadata), list(offsets)))
        except Exception as error:
            hook_failed(error)
        return result

    return send_offsets


def commit_transaction(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.commit_transaction`, which flushes too."""

    def commit_transaction(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            client = client_of(self)
            settle(client, self)
            for group, offsets in client.transaction:
                record(client, group, offsets)
            client.transaction.clear()
        except Exception as error:
            hook_failed(error)
        return result

    return commit_transaction


def abort_transaction(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Producer.abort_transaction`."""

    def abort_transaction(self: Any, *args: Any, **kwargs: Any) -> Any:
        client_of(self).transaction.clear()
        return original(self, *args, **kwargs)

    return abort_transaction
