"""What FastStream's clients know already: which Kafka cluster they use, and for which group they read.

confluent-kafka's clients tell the cluster's id. aiokafka's do not keep it, so a hook on their metadata does. The broker
is not asked.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from typing import Any

from asyncdsm.integration import Hooks
from asyncdsm.integration.formats.kafka import read_name

_hooks = Hooks()  # never removed: brokers keep the middleware that they were made with


def keep_cluster_ids() -> None:
    """Let aiokafka's clients keep the id of their cluster, if aiokafka is in use."""
    if "aiokafka" in sys.modules:
        from aiokafka.cluster import ClusterMetadata  # noqa: PLC0415  (aiokafka need not be installed)
        from asyncdsm_aiokafka.client import observe_metadata  # noqa: PLC0415

        _hooks.put(ClusterMetadata, "update_metadata", observe_metadata)


def find_publish(call_next: Any) -> Any:
    """Return the method of FastStream's producer that a publish ends with, from what the middleware calls next."""
    while isinstance(call_next, partial) and call_next.args:  # other middlewares are in between
        call_next = call_next.args[0]
    return call_next


def find_cluster(call_next: Any) -> str | None:
    """Return the id of the cluster that a publish goes to, from what the middleware calls next. None if unknown."""
    with suppress(Exception):  # not connected; a test's broker; not Kafka's
        return _read_cluster_id(find_publish(call_next).__self__._producer.producer)
    return None


def find_group_and_cluster(consumer: Any) -> tuple[str | None, str | None]:
    """Return the consumer group and the cluster's id of a FastStream consumer, as far as they are known."""
    with suppress(Exception):
        config = getattr(consumer, "config", None)
        group = config.get("group.id") if isinstance(config, dict) else getattr(consumer, "_group_id", None)
        return read_name(group), _read_cluster_id(consumer)
    return None, None


def _read_cluster_id(client: Any) -> str | None:
    for name in ("producer", "consumer"):
        inner = getattr(client, name, None)
        if inner is not None:  # client is FastStream's own, around confluent-kafka's
            return read_name(inner.cluster_id(0))
    metadata = getattr(client, "client", None) or client._client
    return read_name(metadata.cluster._asyncdsm.cluster_id)
