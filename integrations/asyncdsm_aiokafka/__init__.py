"""aiokafka: `asyncdsm.wrap(producer)`, `asyncdsm.wrap(consumer)`, or `asyncdsm.instrument("aiokafka")`.

`client` is what is known of one client, `produce` and `drafts` are the ways a record leaves, `consume` those it
arrives, `offsets` what was acknowledged, committed and is still to be read. Translation only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageAccumulator

from asyncdsm.hooks import Hooks, hook_failed
from asyncdsm.integration import check_version
from asyncdsm_aiokafka import consume, drafts, offsets, produce
from asyncdsm_aiokafka.consume import pathway_of

__all__ = ["VERSIONS", "instrument", "pathway_of", "uninstrument", "wrap"]

VERSIONS = ("0.10", "0.14")

_hooks = Hooks()


def wrap(client: Any) -> Any | None:
    """Put the hooks on one producer or consumer, started or not; None for anything else."""
    if isinstance(client, AIOKafkaProducer):
        _hook_producer(client, client._message_accumulator, client.client.cluster)
        produce.learn_limit(client)
    elif isinstance(client, AIOKafkaConsumer):
        _hook_consumer(client, client._client.cluster)
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
    _hooks.put(GroupCoordinator, "_do_commit_offsets", offsets.commit_offsets)


def uninstrument() -> None:
    """Restore aiokafka's classes; clients that were wrapped one by one stay so."""
    _hooks.remove()


def _hook_producer(producer: Any, accumulator: Any, cluster: Any) -> None:
    _hooks.put(cluster, "update_metadata", offsets.update_metadata)
    _hooks.put(producer, "start", produce.start)
    _hooks.put(accumulator, "add_message", produce.add_message, hot=True)
    _hooks.put(accumulator, "_append_batch", offsets.append_batch)
    _hooks.put(producer, "create_batch", drafts.create_batch)
    _hooks.put(producer, "send_batch", drafts.send_batch)
    _hooks.put(producer, "send_offsets_to_transaction", offsets.send_offsets)
    _hooks.put(producer, "commit_transaction", offsets.commit_transaction)
    _hooks.put(producer, "abort_transaction", offsets.abort_transaction)


def _hook_consumer(consumer: Any, cluster: Any) -> None:
    _hooks.put(cluster, "update_metadata", offsets.update_metadata)
    _hooks.put(consumer, "start", _start)
    _hooks.put(consumer, "getone", consume.getone)
    _hooks.put(consumer, "getmany", consume.getmany)


def _start(original: Callable[..., Any]) -> Callable[..., Any]:
    async def start(self: Any) -> None:
        await original(self)
        try:
            _hook_started(self)
        except Exception as error:
            hook_failed(error)

    return start


def _hook_started(consumer: Any) -> None:
    offsets.adopt(consumer)
    if isinstance(consumer._coordinator, GroupCoordinator):  # made by `start`; one without a group commits nothing
        _hooks.put(consumer._coordinator, "_do_commit_offsets", offsets.commit_offsets)
