"""The queues of a topology, and which of them only fill.

A queue is unread if messages were written to it and none of them was seen being read. "Seen" means that a service which
reports to this agent consumed from the queue within the range, or consumed elsewhere what was written to it, as from
the queues behind an exchange. A program that is not measured is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asyncdsm.agent.store.registry import PointKey
from asyncdsm.map.topology import Edge, Queue

READ_ELSEWHERE = frozenset({"http", "sns", "eventbridge"})
"""Types whose messages are never read under the name that they were sent to."""
SHORTEST_SECONDS = 60.0
"""For how long there must be data: a reader reports up to 20 seconds later than a writer."""

Name = tuple[str, str]
"""Type and name of a queue."""


def list_queues(edges: Iterable[Edge], keys: Sequence[PointKey], seconds: float) -> list[Queue]:
    """Return the queues of edges in order. `keys` are the points of the edges, and `seconds` how long there is data."""
    written: dict[tuple[str, str, str], bool] = {}
    read: dict[Name, set[str]] = {}
    fed = _read_writers(keys)
    for edge in edges:
        name = edge.type, edge.queue, edge.cluster or ""
        if not edge.queue:
            continue
        written.setdefault(name, False)
        if edge.direction == "in":
            read.setdefault(name[:2], set()).add(name[2])
        elif edge.count > 0 and _is_read_by_name(edge):
            written[name] = True
        if (edge.service, edge.env, tuple(edge.tags)) in fed:
            read.setdefault(name[:2], set()).add(name[2])
    return [
        Queue(
            type=type_,
            name=name,
            cluster=cluster or None,
            unread=is_written and seconds >= SHORTEST_SECONDS and not _is_read(read.get((type_, name), set()), cluster),
        )
        for (type_, name, cluster), is_written in sorted(written.items())
    ]


def _is_read_by_name(edge: Edge) -> bool:
    """Return whether messages of an edge are read from a queue of the name that they were sent to."""
    return edge.type not in READ_ELSEWHERE and not any(tag.startswith("exchange:") for tag in edge.tags)


def _is_read(clusters: set[str], cluster: str) -> bool:
    """Return whether a queue is among those read; where a cluster is unknown, it may be any."""
    return bool(clusters) and (not cluster or cluster in clusters or "" in clusters)


def _read_writers(keys: Sequence[PointKey]) -> set[tuple[str, str, tuple[str, ...]]]:
    """Return service, env and tags of the edges that wrote something which was consumed."""
    consumed = {key.parent for key in keys if "direction:in" in key.tags}
    return {(key.service, key.env, tuple(key.tags)) for key in keys if key.hash in consumed}
