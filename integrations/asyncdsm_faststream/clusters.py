"""Which Kafka cluster FastStream's clients talk to, and for which group they read: what these clients know already.

confluent-kafka's tell the cluster's id. aiokafka's do not keep it: a hook on its metadata does, put there when a broker
with the middleware connects. The broker is not asked.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from typing import Any

from asyncdsm.integration.formats.kafka import read_name
from asyncdsm.integration.hooks import Hooks

_hooks = Hooks()  # never taken off: brokers that have the middleware keep it


def keep_cluster_ids() -> None:
    """Have aiokafka's clients keep the id of their cluster, if that client is in use."""
    if "aiokafka" in sys.modules:
        from aiokafka.cluster import ClusterMetadata  # noqa: PLC0415  (where it is not installed, nobody needs it)
        from asyncdsm_aiokafka.client import observe_metadata  # noqa: PLC0415

        _hooks.put(ClusterMetadata, "update_metadata", observe_metadata)


def cluster_of_publish(call_next: Any) -> str | None:
    """Return the cluster that a publish goes to, from what the middleware is to call next; None if it is not known."""
    while isinstance(call_next, partial) and call_next.args:  # other middlewares stand in between
        call_next = call_next.args[0]
    publisher = getattr(call_next, "__self__", None)
    with suppress(Exception):  # not connected; a test's broker; not Kafka's
        return _cluster_of(publisher._producer.producer)  # type: ignore[union-attr]
    return None


def group_and_cluster_of(consumer: Any) -> tuple[str | None, str | None]:
    """Return the consumer group and the cluster of a FastStream consumer, as far as they are known."""
    with suppress(Exception):
        config = getattr(consumer, "config", None)
        group = config.get("group.id") if isinstance(config, dict) else getattr(consumer, "_group_id", None)
        return read_name(group), _cluster_of(consumer)
    return None, None


def _cluster_of(client: Any) -> str | None:
    for name in ("producer", "consumer"):
        inside = getattr(client, name, None)
        if inside is not None:  # FastStream's own, around confluent-kafka's
            return read_name(inside.cluster_id(0))
    metadata = getattr(client, "client", None) or client._client
    return read_name(metadata.cluster._asyncdsm.cluster_id)
