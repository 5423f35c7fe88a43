"""The queues of a topology, and which of them only fill.

A queue is unread if messages are written to it and none of them is seen being read. "Seen" means that a service which
reports to this agent consumes from the queue, or consumes elsewhere what was written to it, as from the queues behind
an exchange. A program that is not measured is not seen.

A reader that stopped is none any more: one that has read nothing for a minute, and for three times its longest usual
break before, although messages were written; or for ten minutes, if it had not read for long enough to have a habit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from asyncdsm.agent.queries.change_rules import FEWEST_REPORTS, find_patience
from asyncdsm.agent.queries.current_state import MINUTES_BEFORE, SECONDS_BEFORE, range_of_changes
from asyncdsm.agent.queries.kafka_clusters import clusters_of, queue_of, split_tags
from asyncdsm.agent.queries.recent_slots import RecentSlots, SlotsOfEdges
from asyncdsm.agent.queries.time_ranges import settled_until
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey, PointKey
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.map.topology import Edge, Queue

MINUTE, HOUR = 60, 3600
READ_ELSEWHERE = frozenset({"http", "sns", "eventbridge"})
"""Types whose messages are never read under the name that they were sent to."""

Name = tuple[str, str, str]
"""Type and name of a queue, and its cluster; an empty string if that is not known."""


class Traffic(NamedTuple):
    """The edges that write to a queue and are read by its name, and those that read what was written to it."""

    writers: set[EdgeKey]
    readers: set[EdgeKey]


def list_queues(store: Store, time_range: TimeRange, edges: Sequence[Edge], keys: Sequence[PointKey]) -> list[Queue]:
    """Return the queues of the edges of a time range in order. `keys` are the points of the edges.

    Since when a queue is unread does not depend on how long the range is, only on when it ends.
    """
    found = find_traffic({_key_of(edge): edge.cluster or "" for edge in edges}, keys)
    busy = {_key_of(edge) for edge in edges if edge.present.state != "idle"}
    passed = {_key_of(edge) for edge in edges if edge.count > 0}
    suspects = {
        name: each
        for name, each in found.items()
        if not passed.isdisjoint(each.writers) and busy.isdisjoint(each.readers)
    }
    unread = find_unread(store, time_range, _add_known(store, suspects)) if suspects else {}
    return [
        Queue(type=type_, name=name, cluster=cluster or None, unread=since is not None, unread_since=since)
        for type_, name, cluster in sorted(found)
        for since in [unread.get((type_, name, cluster))]
    ]


def _key_of(edge: Edge) -> EdgeKey:
    return EdgeKey(edge.service, edge.env, tuple(edge.tags))


def _add_known(store: Store, queues: Mapping[Name, Traffic]) -> dict[Name, Traffic]:
    """Return the traffic of queues with that of before the time range: by all points that the store knows."""
    points = list(store.points.keys.values())
    tags = {f"{kind}:{name}" for _, name, _ in queues for kind in ("topic", "exchange")}
    at_queues = [key for key in points if not tags.isdisjoint(key.tags)]
    hashes = {key.hash for key in at_queues}
    carried_on = [key for key in points if key.parent in hashes and tags.isdisjoint(key.tags)]
    keys = [*at_queues, *carried_on]
    known = find_traffic(clusters_of(keys), keys, set(queues))
    return {
        name: Traffic(each.writers | known[name].writers, each.readers | known[name].readers)
        for name, each in queues.items()
    }


def find_traffic(
    clusters: Mapping[EdgeKey, str], keys: Sequence[PointKey], names: Iterable[Name] = ()
) -> dict[Name, Traffic]:
    """Return who writes to each queue of edges, and of `names`, and who reads it.

    Edges are given with their clusters. Where a cluster is unknown, it may be any.
    """
    written: dict[Name, set[EdgeKey]] = {name: set() for name in names}
    read: dict[tuple[str, str], dict[str, set[EdgeKey]]] = {name[:2]: {} for name in written}
    fed = _read_consumers(keys)
    for edge, cluster in clusters.items():
        tags = split_tags(edge.tags)
        name = tags.get("type", ""), queue_of(tags), cluster
        if not name[1]:
            continue
        is_reader = tags.get("direction") == "in"
        writers = written.setdefault(name, set())
        if not is_reader and _is_read_by_name(tags):
            writers.add(edge)
        readers = read.setdefault(name[:2], {}).setdefault(cluster, set())
        readers.update({edge} if is_reader else (), fed.get(edge, ()))
    return {name: Traffic(writers, _readers_of(name[2], read[name[:2]])) for name, writers in written.items()}


def _readers_of(cluster: str, by_cluster: Mapping[str, set[EdgeKey]]) -> set[EdgeKey]:
    clusters = {cluster, ""} if cluster else by_cluster.keys()
    return {edge for each in clusters for edge in by_cluster.get(each, ())}


def _is_read_by_name(tags: Mapping[str, str]) -> bool:
    """Return whether messages of an edge, given by its split tags, are read from a queue of the name it sends to."""
    return tags.get("type") not in READ_ELSEWHERE and "exchange" not in tags


def _read_consumers(keys: Sequence[PointKey]) -> dict[EdgeKey, set[EdgeKey]]:
    """Return the edges that consumed what an edge wrote."""
    consumers: dict[int, set[EdgeKey]] = {}
    for key in keys:
        if "direction:in" in key.tags:
            consumers.setdefault(key.parent, set()).add(key.edge)
    fed: dict[EdgeKey, set[EdgeKey]] = {}
    for key in keys:
        if key.hash in consumers:
            fed.setdefault(key.edge, set()).update(consumers[key.hash])
    return fed


def find_unread(store: Store, time_range: TimeRange, queues: Mapping[Name, Traffic]) -> dict[Name, float]:
    """Return since when queues are unread, of those that nobody reads at the end of a time range."""
    wanted = {edge for each in queues.values() for edges in each for edge in edges}
    reader = RecentSlots.of(store)
    slots = reader.read_slots(range_of_changes(store, time_range), MINUTES_BEFORE, wanted)
    readers = {edge for each in queues.values() for edge in each.readers}
    ends = reader.read_ends({edge: slots[edge][-1].start for edge in readers if edge in slots})
    settled_at = settled_until(time_range, store.now()) + BUCKET_SECONDS
    earliest = settled_at - HOUR
    never_read = {edge for each in queues.values() if not each.readers for edge in each.writers}
    old = _written_before(store, never_read, earliest)
    begins = reader.read_begins({edge: slots[edge][0].start for edge in never_read - old if edge in slots})
    begins |= dict.fromkeys(old, earliest)
    found = {name: _unread_since(each, slots, begins, ends, settled_at) for name, each in queues.items()}
    return {name: float(max(since, earliest)) for name, since in found.items() if since is not None}


def _written_before(store: Store, edges: set[EdgeKey], moment: float) -> set[EdgeKey]:
    """Return which of some edges are known to have written before a moment. Ages are not kept over a restart."""
    first_new = store.point_ages.first_new_number(moment)
    if not edges or moment < store.opened_at:
        return set()
    numbers = dict(store.points.keys).items()
    return edges.intersection(key.edge for number, key in numbers if first_new is None or number < first_new)


def _unread_since(
    traffic: Traffic, slots: SlotsOfEdges, begins: Mapping[EdgeKey, int], ends: Mapping[EdgeKey, int], settled_at: int
) -> int | None:
    """Return since when messages have been written and not been read; None if that is not for long enough."""
    written = sorted({slot.start for edge in traffic.writers for slot in slots.get(edge, ())})
    read = sorted({slot.start // MINUTE * MINUTE for edge in traffic.readers for slot in slots.get(edge, ())})
    if not traffic.readers:
        since = min((begins[edge] for edge in traffic.writers if edge in begins), default=settled_at - HOUR)
        return since if settled_at - since >= MINUTE else None
    if not read:
        # If it was read before what is known, its readers may have a habit that is not known either.
        return written[0] if written and settled_at - written[0] >= SECONDS_BEFORE else None
    end = max(ends[edge] for edge in traffic.readers if edge in ends)
    later = [start for start in written if start >= end]
    if not later:
        return None
    since = end if later[0] - end < MINUTE else later[0]
    is_long = settled_at - since >= _patience(read) and settled_at - later[0] >= MINUTE
    return since if is_long else None


def _patience(minutes: Sequence[int]) -> int:
    """Return for how long readers that read in these minutes may pause, in seconds."""
    if len(minutes) < FEWEST_REPORTS:
        return SECONDS_BEFORE
    return find_patience(minutes, MINUTE)
