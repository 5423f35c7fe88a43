"""Queues that messages were written to before a time range and that nobody has read: they stay on the map until then.

That is told of the present only. A queue that was never read stays as long as the agent keeps its data; one whose
readers stopped stays for an hour after the last message, since no more is known of when it was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

from msgspec.structs import asdict, replace

from asyncdsm.agent.queries.current_state import IDLE, MINUTES_BEFORE, range_of_changes
from asyncdsm.agent.queries.kafka_clusters import clusters_of
from asyncdsm.agent.queries.queues import Name, Traffic, find_traffic, find_unread
from asyncdsm.agent.queries.recent_slots import RecentSlots
from asyncdsm.agent.queries.topology import edge_traffic
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey
from asyncdsm.agent.store.resolutions import TimeRange
from asyncdsm.map.topology import NO_QUANTILES, Edge, Queue, Topology

MOST_LEFT = 50
"""How many such queues are shown."""
MOST_WRITERS = 10
"""How many of the hops that wrote to each of them are shown."""
KNOWN_SECONDS = 60
"""For how long it is taken for known who writes to a queue and who reads it. A new reader is on the map anyway."""


class KnownTraffic(NamedTuple):
    """Who has written to each queue, and who has read it, as far back as the agent keeps data."""

    read_at: float
    next_point: int
    queues: Mapping[Name, Traffic]


_known: WeakKeyDictionary[Store, KnownTraffic] = WeakKeyDictionary()


def add_left_queues(topology: Topology, store: Store, time_range: TimeRange) -> Topology:
    """Return the topology of a time range, if it ends now, with the queues that were left unread before it began."""
    if time_range.last <= store.now():
        return topology
    unread = _find_left_queues(topology, store, time_range)
    if not unread:
        return topology
    known = _read_traffic(store)
    writers = {key: name[2] for name in unread for key in sorted(known[name].writers)[:MOST_WRITERS]}
    shown = {edge.id for edge in topology.edges}
    edges = (_idle_edge(key, cluster) for key, cluster in writers.items())
    queues = [
        Queue(type=kind, name=name, cluster=cluster or None, unread=True, unread_since=since)
        for (kind, name, cluster), since in sorted(unread.items())
    ]
    return replace(
        topology,
        edges=[*topology.edges, *(edge for edge in edges if edge.id not in shown)],
        queues=[*topology.queues, *queues],
    )


def _find_left_queues(topology: Topology, store: Store, time_range: TimeRange) -> dict[Name, float]:
    """Return since when queues are unread that are not in a topology."""
    clusters: dict[tuple[str, str], set[str]] = {}
    for queue in topology.queues:
        clusters.setdefault((queue.type, queue.name), set()).add(queue.cluster or "")
    recent = RecentSlots.of(store).read_slots(range_of_changes(store, time_range), MINUTES_BEFORE)
    left = {
        name: traffic
        for name, traffic in _read_traffic(store).items()
        if traffic.writers
        and (not traffic.readers or not recent.keys().isdisjoint(traffic.writers))
        # Where a cluster is unknown, it may be any.
        and clusters.get(name[:2], set()).isdisjoint({name[2], ""} if name[2] else clusters.get(name[:2], ()))
    }
    unread = find_unread(store, time_range, left) if left else {}
    return dict(sorted(unread.items(), key=lambda each: -each[1])[:MOST_LEFT])


def _read_traffic(store: Store) -> Mapping[Name, Traffic]:
    known, now, next_point = _known.get(store), store.now(), store.points.next_point
    if known is None or (known.next_point != next_point and not 0 <= now - known.read_at < KNOWN_SECONDS):
        keys = list(dict(store.points.keys).values())
        known = _known[store] = KnownTraffic(now, next_point, find_traffic(clusters_of(keys), keys))
    return known.queues


def _idle_edge(key: EdgeKey, cluster: str) -> Edge:
    return Edge(
        **asdict(edge_traffic(key, cluster, 0.0, 0.0, {})),
        edge_latency=NO_QUANTILES,
        pathway_latency=NO_QUANTILES,
        payload_size=NO_QUANTILES,
        present=IDLE,
        clamped=0.0,
        clocks_disagree=False,
        facts=None,
    )
