"""Edges: where checkpoints of one kind are made; and their points, one for each pathway that arrives."""

from __future__ import annotations

from asyncdsm.core.values import wire_text


class Point:
    """One pathway at one edge: a payload has a row for each. Compared by identity."""

    __slots__ = ("edge", "hash", "is_admitted", "parent")

    def __init__(self, edge: Edge, hash_: int, parent: int) -> None:
        """`hash_` is the pathway's hash after the edge, `parent` the one before it (0 at the start)."""
        self.edge: Edge = edge
        self.hash: int = hash_
        self.parent: int = parent
        self.is_admitted: bool = False
        """Whether its checkpoints are counted: the number of points is limited."""


class Edge:
    """The tags of an edge (protocol §4), sorted once, and its points so far.

    An integration makes one for each topic and group, and keeps it in an `EdgeCache`. The points belong to one recorder
    at a time, since their hashes depend on the service.
    """

    __slots__ = ("_points", "node", "owner", "tags")

    def __init__(self, *tags: str) -> None:
        """`tags` are strings of the form `name:value`, in any order."""
        self.tags: tuple[str, ...] = tuple(sorted(map(wire_text, tags)))
        """The tags, sorted."""
        self.owner: int = 0
        """The number of the recorder whose points these are; 0 if there is none."""
        self.node: int = 0
        """The hash of service, environment and tags (protocol §2), once there is an owner."""
        self._points: dict[int, Point] = {}

    @property
    def points(self) -> dict[int, Point]:
        """A copy of the points, by the hash of their parent."""
        return dict(self._points)

    def find_point(self, owner: int, parent: int) -> Point | None:
        """Return the point of a parent; None if there is none, or if the points belong to another recorder."""
        return self._points.get(parent) if self.owner == owner else None

    def change_owner(self, owner: int, node: int) -> None:
        """Drop all points. Those that follow belong to this recorder, and have hashes of this node."""
        self._points, self.owner, self.node = {}, owner, node

    def add_point(self, point: Point) -> Point:
        """Add a point, unless there is one for its parent already. Return the one that is there now."""
        return self._points.setdefault(point.parent, point)

    def remove_point(self, point: Point) -> None:
        """Remove a point, if it is there."""
        if self._points.get(point.parent) is point:
            del self._points[point.parent]

    def __repr__(self) -> str:
        return f"Edge({', '.join(self.tags)})"
