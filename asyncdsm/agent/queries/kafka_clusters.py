"""Which Kafka cluster an edge's queue is in: topics of one name in two clusters are two queues.

Not every tracer knows the cluster's id, and those that do learn it only after their first messages. An edge without
the id is in the cluster that its pathways lead to or come from, or else in the only one that its environment knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from asyncdsm.agent.store.registry import EdgeKey, PointKey

QueueName = tuple[str, str]
"""Type and name of a queue."""


def split_tags(tags: Iterable[str]) -> dict[str, str]:
    """Return the values of tags of the form `name:value` by name."""
    return {name: value for name, _, value in (tag.partition(":") for tag in tags)}


class HopFields(TypedDict):
    """What names a hop, beside its service, in the fields that all answers give it."""

    direction: str
    type: str
    queue: str
    group: str | None


def hop_fields(tags: Mapping[str, str]) -> HopFields:
    """Return what names a hop, from the split tags of its edge."""
    return HopFields(
        direction=tags.get("direction", ""),
        type=tags.get("type", ""),
        queue=queue_of(tags),
        group=tags.get("group"),
    )


def queue_of(tags: Mapping[str, str]) -> str:
    """Return the name of the queue that an edge leads to or comes from, from its split tags."""
    return tags.get("topic") or tags.get("exchange") or ""


def clusters_of_topics(tags: Iterable[Mapping[str, str]]) -> dict[str, set[str]]:
    """Return the ids of the clusters that split tags name, by topic."""
    clusters: dict[str, set[str]] = {}
    for each in tags:
        if cluster := each.get("kafka_cluster_id"):
            clusters.setdefault(each.get("topic", ""), set()).add(cluster)
    return clusters


def clusters_of(keys: Sequence[PointKey]) -> dict[EdgeKey, str]:
    """Return the cluster id of each edge of some points; empty where it is unknown or ambiguous."""
    tags_of = {edge: split_tags(edge.tags) for edge in {key.edge for key in keys}}
    queues = {edge: (tags.get("type", ""), queue_of(tags)) for edge, tags in tags_of.items()}
    clusters = {edge: tags.get("kafka_cluster_id", "") for edge, tags in tags_of.items()}
    if all(clusters.values()) or not any(clusters.values()):
        return clusters
    linked = _linked_clusters(keys, queues, clusters)
    known = _known_clusters(queues, clusters)
    for edge, cluster in list(clusters.items()):
        if not cluster:
            candidates = linked.get(edge) or known.get((edge.env, *queues[edge]), set())
            clusters[edge] = next(iter(candidates)) if len(candidates) == 1 else ""
    return clusters


def _linked_clusters(
    keys: Sequence[PointKey], queues: Mapping[EdgeKey, QueueName], clusters: Mapping[EdgeKey, str]
) -> dict[EdgeKey, set[str]]:
    """Return the clusters known at the other end of the same queue, by edge: of its readers, or of its writers."""
    by_hash: dict[int, list[EdgeKey]] = {}
    for key in keys:
        by_hash.setdefault(key.hash, []).append(key.edge)
    linked: dict[EdgeKey, set[str]] = {}
    for key in keys:
        for parent in by_hash.get(key.parent, ()):
            if queues[parent] == queues[key.edge]:
                for edge, other in ((key.edge, parent), (parent, key.edge)):
                    if clusters[other]:
                        linked.setdefault(edge, set()).add(clusters[other])
    return linked


def _known_clusters(
    queues: Mapping[EdgeKey, QueueName], clusters: Mapping[EdgeKey, str]
) -> dict[tuple[str, str, str], set[str]]:
    """Return the clusters that each environment knows a queue in, by environment, type and name."""
    known: dict[tuple[str, str, str], set[str]] = {}
    for edge, cluster in clusters.items():
        if cluster:
            known.setdefault((edge.env, *queues[edge]), set()).add(cluster)
    return known
