"""Edges and points, of the native core or of the plain one; and the cache in which an integration keeps its edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from asyncdsm._internal.bounds import make_room
from asyncdsm.core.implementation import native

if TYPE_CHECKING or native is None:
    from asyncdsm.core.plain.edge import Edge, Point
else:
    Edge = native.Edge
    Point = native.Point

__all__ = ["MOST_EDGES", "MOST_PATHWAYS", "Edge", "EdgeCache", "Point", "make_in_edges", "make_out_edges"]

MOST_PATHWAYS = 30
"""Beyond about this many distinct (hash, parent) pairs a service, Datadog's back end drops payloads (protocol §2)."""

MOST_EDGES = 4096
"""How many edges an adapter caches. The oldest is evicted and rebuilt on its next use."""

Key = TypeVar("Key")


class EdgeCache(dict[Key, Edge], Generic[Key]):
    """Edges by what distinguishes them, such as a topic's name: made when they are first asked for, and bounded.

    There may be any number of topics, some seen only once: beyond 4096 edges (`MOST_EDGES`) the oldest is evicted.
    """

    def __init__(self, make_edge: Callable[[Key], Edge]) -> None:
        """`make_edge` makes the edge of a key. What it raises, `cache[key]` raises."""
        super().__init__()
        self._make_edge = make_edge

    def __missing__(self, key: Key) -> Edge:
        edge = self._make_edge(key)
        self.store(key, edge)
        return edge

    def store(self, key: Key, edge: Edge) -> None:
        """Store an edge under a key, in the place of the one that was there."""
        make_room(self, MOST_EDGES)
        self[key] = edge


def make_out_edges(type_: str) -> EdgeCache[str]:
    """Return the edges of producing with one type of broker, such as "nats", by topic."""
    return EdgeCache(lambda topic: Edge("direction:out", f"topic:{topic}", f"type:{type_}"))


def make_in_edges(type_: str) -> EdgeCache[tuple[str, str]]:
    """Return the edges of consuming from one type of broker, by topic and group: "" for a consumer without one."""

    def make_edge(key: tuple[str, str]) -> Edge:
        topic, group = key
        tags = (f"group:{group}",) if group else ()
        return Edge("direction:in", f"topic:{topic}", f"type:{type_}", *tags)

    return EdgeCache(make_edge)
