"""Which consumer groups fall behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from asyncdsm.agent.queries.answers import Change
from asyncdsm.agent.queries.edge_changes import change_of_edge
from asyncdsm.agent.queries.kafka_clusters import split_tags
from asyncdsm.agent.queries.lag import Group, Lags
from asyncdsm.agent.store.registry import EdgeKey

MOST_GROUPS = 20
"""Of how many groups the beginning is looked for, those whose oldest message is the oldest."""
FindBegin = Callable[[Group], float | None]


def find_growing_lags(edges: Iterable[EdgeKey], lags: Lags, end: float, find_begin: FindBegin) -> Iterator[Change]:
    """Yield the edges whose consumer group falls behind, with the age of its oldest unread message.

    The change began when the group last kept up, which `find_begin` tells. If that is unknown, it began when the oldest
    unread message came, or earlier.
    """
    growing = {group: age for group, lag in lags.items() for age in [lag.seconds] if _is_growing(group, lags)}
    longest = sorted(growing, key=lambda group: -(growing[group] or 0.0))[:MOST_GROUPS]
    begins = {group: find_begin(group) for group in longest}
    for edge in edges:
        group = _group_of(edge, lags)
        age = None if group is None else growing.get(group)
        if group is not None and age is not None:
            yield change_of_edge(edge, "lag grows", begins.get(group) or end - age, (None, age))


def _is_growing(group: Group, lags: Lags) -> bool:
    lag = lags[group]
    return lag.velocity.trend == "falling behind" and lag.seconds is not None


def _group_of(edge: EdgeKey, lags: Lags) -> Group | None:
    """Return the group, of those that have a lag, for which an edge reads."""
    tags = split_tags(edge.tags)
    group, topic = tags.get("group"), tags.get("topic", "")
    if tags.get("type") != "kafka" or tags.get("direction") != "in" or group is None:
        return None
    if cluster := tags.get("kafka_cluster_id"):
        return (group, topic, cluster) if (group, topic, cluster) in lags else None
    # Its clients may not know the cluster, while those that report offsets do.
    known = [each for each in lags if each[:2] == (group, topic)]
    return known[0] if len(known) == 1 else None
