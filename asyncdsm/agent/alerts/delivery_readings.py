"""What rules find about the delivery of messages: dead-lettered, delivered again, or read by nobody."""

from __future__ import annotations

from collections.abc import Iterator

from asyncdsm.agent.alerts.rules import Rule
from asyncdsm.agent.alerts.view import Reading, View, edges_of, is_at, name_hop, name_of
from asyncdsm.map.descriptions import LONGEST_SINCE
from asyncdsm.map.graph import Node
from asyncdsm.map.topology import Edge, RecentFacts


def read_deliveries(rule: Rule, view: View) -> Iterator[Reading]:
    """Yield the hops that read, with their messages that were dead-lettered before, or redelivered, or their share."""
    for edge in edges_of(rule, view):
        if edge.direction == "in" and edge.queue:
            found, count = _count_messages(rule, edge, view)
            # Facts are kept in minutes, so there may be more of them than messages.
            value = found if rule.unit == "messages" else min(1.0, found / count) if count else 0.0
            yield Reading((edge.id,), name_hop(edge, view), value, edges=(edge.id,))


def _count_messages(rule: Rule, edge: Edge, view: View) -> tuple[float, float]:
    """Return how many messages of a hop a rule is about, and of how many: in the last minutes, or in the range."""
    facts = edge.facts
    said = facts.recent if facts is not None and view.span == "present" else facts
    if said is None:
        return 0.0, 0.0
    count = said.count if isinstance(said, RecentFacts) else edge.count
    return float(said.dead_lettered if rule.when == "dead letters" else said.redelivered), count


def read_unread(rule: Rule, view: View) -> Iterator[Reading]:
    """Yield the queues, each with the seconds for which messages have come in and nobody has read them; 0 if read."""
    for queue in view.topology.queues:
        if is_at(rule, {"queue": queue.name, "type": queue.type, "cluster": queue.cluster or ""}):
            node = Node("queue", queue.name, queue.type, queue.cluster or "")
            since = queue.unread_since
            value, at_least = (0.0 if not queue.unread else None), False
            if queue.unread and since is not None:
                value, at_least = view.measure_silence(since, rule)
                at_least = at_least or view.topology.to - since >= LONGEST_SINCE
            key = (node.name, node.where, node.cluster)
            yield Reading(key, name_of(node, view), value, (node.id,), at_least=at_least)
