"""Where checkpoints of one kind pass, and the points on it: one for each pathway that arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncdsm.core.pathway import node_hash, pathway_hash
from asyncdsm.core.values import wire_text

if TYPE_CHECKING:
    from asyncdsm.core.aggregator import Aggregator

MOST_PATHWAYS = 30
"""Beyond about so many distinct (hash, parent) pairs a service, Datadog's back end drops payloads (protocol §2)."""

NOT_KEPT = -1

MOST_NAMES = 4096
"""Whose edges an adapter keeps; beyond, the one met first is made anew when it comes again."""


class Point:
    """One pathway passing one edge: what a payload has a row for. Compared by identity."""

    __slots__ = ("edge", "hash", "parent", "seen")  # four fit a cache line: with 100,000 points, a sixth of the time

    def __init__(self, edge: Edge, hash_: int, parent: int) -> None:
        """`hash_` is the pathway's hash behind the edge, `parent` the one before it (0 at the start)."""
        self.edge: Edge = edge
        self.hash: int = hash_
        self.parent: int = parent
        self.seen: int = NOT_KEPT
        """How often it stands in a bucket's log, since it passed often last; `NOT_KEPT` if there is no room for it."""


class Edge:
    """The tags of protocol §4, sorted once, and the points met so far.

    An adapter makes one for each (topic, group) it meets and keeps it. The hashes depend on the service that
    runs, so an edge belongs to one aggregator at a time and forgets its points when another takes over.
    """

    __slots__ = ("_node", "owner", "points", "tags")

    def __init__(self, *tags: str) -> None:
        """`tags` are texts of the form `name:value`, in any order."""
        self.tags: tuple[str, ...] = tuple(sorted(map(wire_text, tags)))
        self.owner: Aggregator | None = None
        self.points: dict[int, Point] = {}
        self._node = 0

    def __repr__(self) -> str:
        return f"Edge({', '.join(self.tags)})"

    def point(self, aggregator: Aggregator, parent: int) -> Point:
        """Return the point of `parent` for this aggregator: the way for one met for the first time."""
        if self.owner is not aggregator:
            self._node = node_hash(aggregator.service, aggregator.env, self.tags)
            self.points, self.owner = {}, aggregator
        point = self.points.get(parent)
        if point is None:
            point = Point(self, pathway_hash(self._node, parent), parent)
            if aggregator.keep(point):
                point = self.points.setdefault(parent, point)
        return point


def keep(edges: dict[str, Edge], name: str, edge: Edge) -> None:
    """Keep an edge by its topic's name, among `MOST_NAMES`: there may be any number of topics, some met only once."""
    if len(edges) >= MOST_NAMES:
        edges.pop(next(iter(edges), ""), None)
    edges[name] = edge
