"""Edges: where checkpoints of one kind are made; and their points, one for each pathway that arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from asyncdsm.core.values import wire_text

MOST_PATHWAYS = 30
"""Beyond about this many distinct (hash, parent) pairs a service, Datadog's back end drops payloads (protocol §2)."""

NOT_ADMITTED = -1

MOST_EDGES = 4096
"""How many edges an adapter caches. The oldest is evicted and rebuilt on its next use."""

Key = TypeVar("Key")


class Point:
    """One pathway at one edge: a payload has a row for each. Compared by identity."""

    __slots__ = ("edge", "hash", "parent", "seen")  # four fit a cache line: with 100,000 points, a sixth of the time

    def __init__(self, edge: Edge, hash_: int, parent: int) -> None:
        """`hash_` is the pathway's hash after the edge, `parent` the one before it (0 at the start)."""
        self.edge: Edge = edge
        self.hash: int = hash_
        self.parent: int = parent
        self.seen: int = NOT_ADMITTED
        """How many entries it has in the log of a bucket; `NOT_ADMITTED` if there is no room for it."""


class Edge:
    """The tags of an edge (protocol §4), sorted once, and its points so far.

    An integration makes one for each topic and group, and keeps it in an `EdgeCache`. The points belong to one recorder
    at a time, since their hashes depend on the service.
    """

    __slots__ = ("node", "owner", "points", "tags")

    def __init__(self, *tags: str) -> None:
        """`tags` are strings of the form `name:value`, in any order."""
        self.tags: tuple[str, ...] = tuple(sorted(map(wire_text, tags)))
        """The tags, sorted."""
        self.owner: object | None = None
        """The recorder whose points these are."""
        self.points: dict[int, Point] = {}
        """By the hash of the parent."""
        self.node: int = 0
        """The hash of service, environment and tags (protocol §2), once there is an owner."""

    def __repr__(self) -> str:
        return f"Edge({', '.join(self.tags)})"


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
        if len(self) >= MOST_EDGES:
            self.pop(next(iter(self), key), None)
        self[key] = edge
