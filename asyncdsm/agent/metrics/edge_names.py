"""Edges as the labels of metrics name them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from asyncdsm.agent.queries.kafka_clusters import queue_of, split_tags

_MOST_NAMES = 5_000


class EdgeName(NamedTuple):
    """An edge as its labels name it."""

    service: str
    env: str
    direction: str
    type: str
    queue: str
    group: str
    cluster: str
    kind: str
    """`exchange` where messages are not read under the name that they were sent to; empty elsewhere."""


@lru_cache(_MOST_NAMES)
def name_edge(service: str, env: str, tags: tuple[str, ...]) -> EdgeName:
    """Return the name of an edge of a service."""
    named = split_tags(tags)
    return EdgeName(
        service,
        env,
        named.get("direction", ""),
        named.get("type", ""),
        queue_of(named),
        named.get("group", ""),
        named.get("kafka_cluster_id", ""),
        "exchange" if "exchange" in named and not named.get("topic") else "",
    )
