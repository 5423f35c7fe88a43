"""Offsets: the highest that the broker acknowledged, those really committed, and how far behind that leaves us."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from weakref import ref

from aiokafka.errors import UnknownError, UnsupportedForMessageFormatError, UnsupportedVersionError

from asyncdsm import checkpoint, lag
from asyncdsm.hooks import hook_failed
from asyncdsm.log import warn
from asyncdsm_aiokafka.client import Client, client_of

REFUSALS: tuple[type[Exception], ...] = (UnknownError, UnsupportedForMessageFormatError, UnsupportedVersionError)
"""What a broker without headers answers to a batch that has some (dd-trace-py#13313, dd-trace-js#5704)."""


def update_metadata(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ClusterMetadata.update_metadata`: the cluster's id passes here, and is not kept by the client."""

    def update_metadata(self: Any, metadata: Any) -> None:
        original(self, metadata)
        try:
            client_of(self).learn_cluster_id(getattr(metadata, "cluster_id", None))
        except Exception as error:
            hook_failed(error)

    return update_metadata


def append_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `MessageAccumulator._append_batch`: one callback for a whole batch, when the broker has answered."""

    def append_batch(self: Any, builder: Any, tp: Any) -> Any:
        batch = original(self, builder, tp)
        try:
            batch.future.add_done_callback(partial(_answered, client_of(self._cluster), batch))
        except Exception as error:
            hook_failed(error)
        return batch

    return append_batch


def _answered(client: Client, batch: Any, answer: Any) -> None:
    try:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            _acknowledged(client, batch, answer.result())
        elif client.injects and isinstance(error, REFUSALS) and checkpoint.running() is not None:
            client.injects = False
            warn(
                "the broker refused a batch for topic %s (%r): this producer's messages carry no context from now on, "
                "in case it was their headers; checkpoints are recorded as before",
                batch.tp.topic,
                error,
            )
    except Exception as error:
        hook_failed(error)


def _acknowledged(client: Client, batch: Any, metadata: Any) -> None:
    aggregator = checkpoint.running()
    if aggregator is not None and metadata is not None and metadata.offset >= 0:  # acks=0 tells no offset
        tags = lag.produced_tags(metadata.topic, metadata.partition, client.cluster_id)
        aggregator.record_offset(tags, metadata.offset + batch.record_count - 1)


def commit_offsets(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `GroupCoordinator._do_commit_offsets`: explicit, automatic, rebalance and shutdown commits all end here."""

    async def commit_offsets(self: Any, assignment: Any, offsets: Any) -> Any:
        result = await original(self, assignment, offsets)
        try:
            committed(client_of(self._client.cluster), self.group_id, offsets)
        except Exception as error:
            hook_failed(error)
        return result

    return commit_offsets


def committed(client: Client, group: str, offsets: Mapping[Any, Any]) -> None:
    """Record committed offsets: numbers, or tuples that begin with one."""
    aggregator = checkpoint.running()
    if aggregator is None:
        return
    for tp, offset in offsets.items():
        tags = lag.committed_tags(group, tp.topic, tp.partition, client.cluster_id)
        aggregator.record_offset(tags, offset if isinstance(offset, int) else offset[0])


def send_offsets(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaProducer.send_offsets_to_transaction`: they count when the transaction is committed."""

    async def send_offsets(self: Any, offsets: Any, group_id: str) -> Any:
        result = await original(self, offsets, group_id)
        try:
            client_of(self.client.cluster).transaction.append((group_id, dict(offsets)))
        except Exception as error:
            hook_failed(error)
        return result

    return send_offsets


def commit_transaction(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaProducer.commit_transaction`."""

    async def commit_transaction(self: Any) -> Any:
        result = await original(self)
        try:
            client = client_of(self.client.cluster)
            for group, offsets in client.transaction:
                committed(client, group, offsets)
            client.transaction.clear()
        except Exception as error:
            hook_failed(error)
        return result

    return commit_transaction


def abort_transaction(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaProducer.abort_transaction`."""

    async def abort_transaction(self: Any) -> Any:
        try:
            client_of(self.client.cluster).transaction.clear()
        except Exception as error:
            hook_failed(error)
        return await original(self)

    return abort_transaction


def adopt(consumer: Any) -> Client:
    """Return what is known of a consumer's client; at the first time, learn its group and list it for its lag."""
    client: Client = client_of(consumer._client.cluster)
    if client.lag_source is None:
        client.group = consumer._group_id
        client.lag_source = ConsumerLag(consumer)
        lag.add_source(client.lag_source)
    return client


class ConsumerLag:
    """How far one consumer is behind, from the positions and high watermarks that it holds."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._client = ref(consumer), client_of(consumer._client.cluster)

    def lags(self) -> Iterator[lag.Lag]:
        """Return the lag of each assigned partition whose end and position are known."""
        consumer = self._consumer()
        if consumer is None or consumer._closed:
            return
        for tp in consumer.assignment():
            end, state = (
                consumer.highwater(tp),
                consumer._subscription.subscription.assignment.state_value(tp),
            )
            if end is not None and state.has_valid_position:
                behind = max(0, end - state.position)
                yield lag.Lag(
                    self._client.group,
                    tp.topic,
                    tp.partition,
                    behind,
                    "messages",
                    self._client.cluster_id,
                    end,
                )
