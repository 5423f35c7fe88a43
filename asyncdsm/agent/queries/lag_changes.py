"""Which consumer groups fall behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncdsm.agent.queries.answers import Change
from asyncdsm.agent.queries.edge_changes import change_of_edge
from asyncdsm.agent.queries.kafka_clusters import split_tags
from asyncdsm.agent.queries.lag import GroupLag, Lags
from asyncdsm.agent.store.registry import EdgeKey


def find_growing_lags(edges: Iterable[EdgeKey], lags: Lags, end: float) -> Iterator[Change]:
    """Yield the edges whose consumer group falls behind, with the age of its oldest unread message.

    The change began no later than that message came: from then on, the group did not keep up.
    """
    for edge in edges:
        lag = _lag_of(edge, lags)
        if lag is not None and lag.velocity.trend == "falling behind" and lag.seconds is not None:
            yield change_of_edge(edge, "lag grows", end - lag.seconds, (None, lag.seconds))


def _lag_of(edge: EdgeKey, lags: Lags) -> GroupLag | None:
    tags = split_tags(edge.tags)
    group, topic = tags.get("group"), tags.get("topic", "")
    if tags.get("type") != "kafka" or tags.get("direction") != "in" or group is None:
        return None
    if cluster := tags.get("kafka_cluster_id"):
        return lags.get((group, topic, cluster))
    # Its clients may not know the cluster, while those that report offsets do.
    known = [lag for (name, queue, _), lag in lags.items() if (name, queue) == (group, topic)]
    return known[0] if len(known) == 1 else None
