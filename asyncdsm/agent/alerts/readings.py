"""What a rule finds on a map: the places to which it applies, and the value at each of them.

A value of None is one that is not known. A hop that nothing passed has no latency, and is no place of a rule about
latencies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from asyncdsm._internal.log import pluralize
from asyncdsm.agent.alerts.delivery_readings import read_deliveries, read_unread
from asyncdsm.agent.alerts.rules import Rule
from asyncdsm.agent.alerts.view import Reading, Silence, View, edges_of, is_at, name_hop, name_of
from asyncdsm.agent.queries.answers import When
from asyncdsm.map.descriptions import LONGEST
from asyncdsm.map.graph import Node
from asyncdsm.map.strings import format_hop, plain_text
from asyncdsm.map.topology import Edge, PartitionLag

MOST_PLACES = 1_000
"""At how many places one rule is watched, those with the highest values first."""
_SEEN_SECONDS = 600.0
# How far back a topology tells since when a hop is idle.


def read_values(rule: Rule, view: View) -> list[Reading]:
    """Return the places of a rule with their values, the highest values first, at most `MOST_PLACES`."""
    found = sorted(_READERS[rule.when](rule, view), key=_by_value)
    return found[:MOST_PLACES]


def missing_place(rule: Rule, view: View) -> list[Reading]:
    """Return the place that a rule about silence names, for a rule that finds nothing on the map.

    Its value is how long the agent has been waiting for it; None as long as that is not long enough to say anything.
    """
    if not (rule.kind.is_remembered and rule.names_one):
        return []
    where = dict(rule.where)
    name = plain_text(where.get("queue") or where.get("service", ""), LONGEST)
    waited = view.silence_since(view.watched_since)
    return [Reading((), name, waited if waited >= rule.for_seconds else None, at_least=True)]


def explain_nothing(rule: Rule, view: View) -> str:
    """Return why a rule finds no value anywhere: what it is about is not on the map, or nothing is measured there."""
    edges = list(_edges_with_latency(rule, view)) if rule.kind.has_quantile else []
    if not edges:
        return "nothing on the map matches it"
    first, more = name_hop(edges[0], view), f" and {pluralize(len(edges) - 1, 'more hop')}" if len(edges) > 1 else ""
    if view.span == "present" and all(edge.present.state == "idle" for edge in edges):
        return f"no message has passed {first}{more} in the last minute"
    what = "time from end to end" if rule.when == "end to end" else rule.when
    return f"no {what} is measured at {first}{more}"


def _by_value(reading: Reading) -> tuple[bool, float, tuple[str, ...]]:
    return reading.value is None, -(reading.value or 0.0), reading.key


def _read_lag(rule: Rule, view: View) -> Iterator[Reading]:
    groups: dict[tuple[str, str, str], list[PartitionLag]] = {}
    for lag in view.topology.lag:
        fields = {"group": lag.group, "queue": lag.topic, "cluster": lag.cluster_id or ""}
        if is_at(rule, fields):
            groups.setdefault((lag.group, lag.topic, lag.cluster_id or ""), []).append(lag)
    readers = _readers(view.topology.edges)
    for key, partitions in groups.items():
        group, topic, cluster = key
        edges = readers.get(key, [])
        kinds = {edge.type for edge in edges} or {"kafka"}
        nodes = [Node("queue", topic, kind, cluster) for kind in sorted(kinds)]
        place = format_hop(name_of(nodes[0], view), f"group {plain_text(group, LONGEST)}")
        ids = tuple(node.id for node in nodes)
        yield Reading(key, place, _sum_lag(rule, partitions), ids, tuple(edge.id for edge in edges))


def _readers(edges: Iterable[Edge]) -> dict[tuple[str, str, str], list[Edge]]:
    """Return the edges by which each group reads a queue."""
    readers: dict[tuple[str, str, str], list[Edge]] = {}
    for edge in edges:
        if edge.direction == "in":
            readers.setdefault((edge.group or "", edge.queue, edge.cluster or ""), []).append(edge)
    return readers


def _sum_lag(rule: Rule, partitions: list[PartitionLag]) -> float | None:
    """Return a group's messages in all partitions, or the seconds of the partition that is furthest behind.

    None if any partition's are unknown, unless those that are known break the rule.
    """
    if rule.unit == "messages":
        return float(sum(partition.behind for partition in partitions))
    known = [partition.seconds for partition in partitions if partition.seconds is not None]
    largest = max(known, default=None)
    is_certain = len(known) == len(partitions) or (largest is not None and rule.is_broken_by(largest))
    return largest if is_certain else None


def _read_latency(rule: Rule, view: View) -> Iterator[Reading]:
    for edge in _edges_with_latency(rule, view):
        traffic = edge.present if view.span == "present" else edge
        latency = traffic.pathway_latency if rule.when == "end to end" else traffic.edge_latency
        value: float | None = getattr(latency, rule.quantile)
        if value is not None:
            yield Reading((edge.id,), name_hop(edge, view), value, edges=(edge.id,))


def _edges_with_latency(rule: Rule, view: View) -> Iterator[Edge]:
    directions = {"time in queue": {"in"}, "time in service": {"out"}}.get(rule.when, {"in", "out"})
    return (edge for edge in edges_of(rule, view) if edge.direction in directions)


def _read_quiet(rule: Rule, view: View) -> Iterator[Reading]:
    """Yield the queues of all hops to which a rule applies: a queue is quiet if nothing passes any of these hops."""
    queues: dict[Node, list[Edge]] = {}
    for edge in edges_of(rule, view):
        if edge.queue:
            queues.setdefault(Node("queue", edge.queue, edge.type, edge.cluster or ""), []).append(edge)
    for node, edges in queues.items():
        silences = [_measure_idle(edge, rule, view) for edge in edges]
        known = [each for each in silences if each is not None]
        # One hop that was passed lately is enough; of the others, the time may be unknown.
        shortest = min(known, default=None)
        is_certain = len(known) == len(edges) or (shortest is not None and not rule.is_broken_by(shortest.seconds))
        value, at_least = shortest if shortest is not None and is_certain else (None, False)
        key, ids = (node.name, node.where, node.cluster), tuple(edge.id for edge in edges)
        yield Reading(key, name_of(node, view), value, (node.id,), ids, at_least)


def _measure_idle(edge: Edge, rule: Rule, view: View) -> Silence | None:
    """Return how long nothing has passed an edge; None if it is longer than is known, and a rule asks for longer."""
    if edge.present.state != "idle":
        return Silence(0.0, at_least=False)
    if edge.present.since is not None:
        return view.measure_silence(edge.present.since, rule)
    known = view.measure_silence(view.topology.to - _SEEN_SECONDS, rule)
    return known._replace(at_least=True) if rule.is_broken_by(known.seconds) else None


def _read_missing(rule: Rule, view: View) -> Iterator[Reading]:
    for service in view.topology.services:
        if is_at(rule, {"service": service.name, "env": service.env}):
            node = Node("service", service.name, service.env)
            last_seen = service.last_seen
            value, at_least = (None, False) if last_seen is None else view.measure_silence(last_seen, rule)
            key = (service.name, service.env)
            yield Reading(key, name_of(node, view), value, (node.id,), at_least=at_least)


_READERS: dict[When, Callable[[Rule, View], Iterator[Reading]]] = {
    "lag": _read_lag,
    "time in queue": _read_latency,
    "time in service": _read_latency,
    "end to end": _read_latency,
    "dead letters": read_deliveries,
    "redelivered": read_deliveries,
    "unread": read_unread,
    "quiet": _read_quiet,
    "missing": _read_missing,
}
