"""aiokafka: `asyncdsm.wrap(producer)`, `asyncdsm.wrap(consumer)`, or `asyncdsm.instrument("aiokafka")`.

`client` is what is known of one client, `produce` and `drafts` are the ways a record leaves, `consume` those it
arrives, `offsets` what was acknowledged, committed and is still to be read. Translation only.
"""

from __future__ import annotations

from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageAccumulator

from asyncdsm._internal.mocks import is_mock
from asyncdsm.integration.base import check_version
from asyncdsm.integration.hooks import Hooks, after_await
from asyncdsm_aiokafka import consume, drafts, offsets, produce
from asyncdsm_aiokafka.consume import pathway_of

__all__ = ["VERSIONS", "WRAPS", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("0.10", "0.14")
WRAPS = "an AIOKafkaProducer or an AIOKafkaConsumer"

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Put the hooks on one producer or consumer, started or not; None for anything else."""
    if isinstance(client, (AIOKafkaProducer, AIOKafkaConsumer)) and is_mock(client):
        return client
    if isinstance(client, AIOKafkaProducer):
        _hook_producer(client, client._message_accumulator, client.client.cluster)
        produce.learn_limit(client)
    elif isinstance(client, AIOKafkaConsumer):
        _hook_consumer(client, client._client.cluster)
        _hooks.put(client, "start", hook_coordinator)
        if client._coordinator is not None:
            _hook_started(client)
    else:
        return None
    check_version("aiokafka", aiokafka.__version__, VERSIONS)
    return client


def instrument() -> None:
    """Put the hooks on every producer and consumer, those that exist already too."""
    check_version("aiokafka", aiokafka.__version__, VERSIONS)
    _hook_producer(AIOKafkaProducer, MessageAccumulator, ClusterMetadata)
    _hook_consumer(AIOKafkaConsumer, ClusterMetadata)
    _hooks.put(AIOKafkaConsumer, "start", note_start)
    _hooks.put(GroupCoordinator, "_do_commit_offsets", offsets.note_commit)


def uninstrument() -> None:
    """Restore aiokafka's classes; clients that were wrapped one by one stay so."""
    _hooks.remove()
    offsets.forget_instrumented()


def _hook_producer(producer: Any, accumulator: Any, cluster: Any) -> None:
    _hooks.put(cluster, "update_metadata", offsets.note_cluster_id)
    _hooks.put(producer, "start", produce.note_start)
    _hooks.put(accumulator, "add_message", produce.add_message, hot=True)
    _hooks.put(accumulator, "_append_batch", offsets.follow_batch)
    _hooks.put(producer, "create_batch", drafts.note_batch)
    _hooks.put(producer, "send_batch", drafts.send_batch)
    _hooks.put(producer, "send_offsets_to_transaction", offsets.note_transaction_offsets)
    _hooks.put(producer, "commit_transaction", offsets.note_transaction)
    _hooks.put(producer, "abort_transaction", offsets.forget_transaction)


def _hook_consumer(consumer: Any, cluster: Any) -> None:
    _hooks.put(cluster, "update_metadata", offsets.note_cluster_id)
    _hooks.put(consumer, "getone", consume.getone)
    _hooks.put(consumer, "getmany", consume.getmany)


@after_await
def note_start(_result: Any, consumer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaConsumer.start`."""
    offsets.adopt(consumer)


@after_await
def hook_coordinator(_result: Any, consumer: Any, *_args: Any, **_more: Any) -> None:
    """Observe the `start` of a consumer that was wrapped: it makes the coordinator, which commits offsets."""
    _hook_started(consumer)


def _hook_started(consumer: Any) -> None:
    offsets.adopt(consumer)
    if isinstance(consumer._coordinator, GroupCoordinator):  # one without a group commits nothing
        _hooks.put(consumer._coordinator, "_do_commit_offsets", offsets.note_commit)
