"""Offsets: the highest that the broker acknowledged, those really committed, and how far behind that leaves us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from weakref import WeakSet, WeakValueDictionary, ref

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import UnknownError, UnsupportedForMessageFormatError, UnsupportedVersionError

from asyncdsm._internal.log import warn
from asyncdsm.core import checkpoint, lag
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.integration.formats.kafka import read_name, read_offset, read_time, record_committed, record_produced
from asyncdsm.integration.hooks import after, after_await, before, is_hook
from asyncdsm_aiokafka.client import Client, client_of

REFUSALS: tuple[type[Exception], ...] = (UnknownError, UnsupportedForMessageFormatError, UnsupportedVersionError)
"""What a broker without headers answers to a batch that has some (dd-trace-py#13313, dd-trace-js#5704)."""


@after
def note_cluster_id(_result: Any, cluster: Any, metadata: Any, *_args: Any, **_more: Any) -> None:
    """Observe `ClusterMetadata.update_metadata`: the cluster's id passes here, and is not kept by the client."""
    client_of(cluster).learn_cluster_id(getattr(metadata, "cluster_id", None))


@after
def follow_batch(batch: Any, accumulator: Any, *_args: Any, **_more: Any) -> None:
    """Observe `MessageAccumulator._append_batch`: one callback for a whole batch, when the broker has answered."""
    batch.future.add_done_callback(partial(_answered, client_of(accumulator._cluster), batch))


def _answered(client: Client, batch: Any, answer: Any) -> None:
    try:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            _acknowledged(client, batch, answer.result())
        elif client.injects and isinstance(error, REFUSALS) and checkpoint.ensure_recorder() is not None:
            client.injects = False
            warn(
                "the broker refused a batch for topic %s (%r): this producer's messages carry no context from now on, "
                "in case it was their headers; checkpoints are recorded as before",
                batch.tp.topic,
                error,
            )
    except Exception as error:
        report_hook_error(error)


def _acknowledged(client: Client, batch: Any, metadata: Any) -> None:
    if metadata is not None and (first := read_offset(metadata.offset)) is not None:  # acks=0 tells no offset
        last = first + batch.record_count - 1
        record_produced(metadata.topic, metadata.partition, last, client.cluster_id)


@after_await
def note_commit(_result: Any, coordinator: Any, _assignment: Any, offsets: Any, *_args: Any, **_more: Any) -> None:
    """Observe `GroupCoordinator._do_commit_offsets`: explicit, automatic, rebalance and shutdown commits end here."""
    record_commits(client_of(coordinator._client.cluster), coordinator.group_id, offsets)


def record_commits(client: Client, group: str, offsets: Mapping[Any, Any]) -> None:
    """Record committed offsets: numbers, or tuples that begin with one."""
    for tp, offset in offsets.items():
        number = offset[0] if isinstance(offset, tuple) and offset else offset
        record_committed(group, tp.topic, tp.partition, number, client.cluster_id)


@after_await
def note_transaction_offsets(
    _result: Any, producer: Any, offsets: Any, group_id: Any, *_args: Any, **_more: Any
) -> None:
    """Observe `AIOKafkaProducer.send_offsets_to_transaction`: they count when the transaction is committed."""
    client_of(producer.client.cluster).transaction.append((group_id, dict(offsets)))


@after_await
def note_transaction(_result: Any, producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.commit_transaction`."""
    client = client_of(producer.client.cluster)
    committed, client.transaction = client.transaction, []
    for group, offsets in committed:
        record_commits(client, group, offsets)


@before
def forget_transaction(producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.abort_transaction`."""
    client_of(producer.client.cluster).transaction.clear()


def adopt(consumer: Any) -> Client:
    """Return what is known of a consumer's client; at the first time, learn its group and list it for its lag."""
    try:
        client: Client = consumer._client.cluster._asyncdsm  # for every message: 50 ns sooner than `client_of`
    except AttributeError:
        client = client_of(consumer._client.cluster)
    if client.lag_source is None:
        client.group = read_name(consumer._group_id)
        if _receives_its_own_way(type(consumer)):
            client.counted = WeakValueDictionary()
        client.lag_source = ConsumerLag(consumer)
        lag.add_lag_source(client.lag_source)
        _sources.add(client.lag_source)
    return client


def _receives_its_own_way(kind: type[AIOKafkaConsumer]) -> bool:
    """Say whether a class has a `getone` or `getmany` of its own, which may call the other one or aiokafka's."""
    return kind.getone is not AIOKafkaConsumer.getone or kind.getmany is not AIOKafkaConsumer.getmany


def forget_instrumented() -> None:
    """Have no lag any more of consumers that were followed by their class alone: its hooks are gone."""
    for source in list(_sources):
        source.forget_unless_wrapped()


class ConsumerLag:
    """How far one consumer is behind, from the positions and high watermarks that it holds."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._client = ref(consumer), client_of(consumer._client.cluster)

    def forget_unless_wrapped(self) -> None:
        """End, unless the consumer itself was wrapped."""
        consumer = self._consumer()
        if consumer is None or not is_hook(vars(consumer).get("getone")):
            self._client.lag_source = None
            lag.remove_lag_source(self)

    def lags(self) -> Iterator[lag.Lag]:
        """Return the lag of each assigned partition whose end and position are known.

        The end is as old as the last fetch, which `seen_ns` tells: a partition that is paused is not fetched, nor one
        whose records wait to be read.
        """
        consumer = self._consumer()
        if consumer is None or consumer._closed:
            return
        for tp in consumer.assignment():
            state = consumer._subscription.subscription.assignment.state_value(tp)
            end, seen_ns = read_offset(state.highwater), read_time(getattr(state, "timestamp", None))
            if end is not None and state.has_valid_position:
                client = self._client
                behind = max(0, end - state.position)
                yield lag.Lag(client.group, tp.topic, tp.partition, behind, "messages", client.cluster_id, end, seen_ns)


_sources: WeakSet[ConsumerLag] = WeakSet()
