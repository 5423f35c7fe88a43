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

__all__ = ["MOST_EDGES", "MOST_PATHWAYS", "Edge", "EdgeCache", "Point"]

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
