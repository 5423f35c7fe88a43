"""Pathways that go in circles: request and reply in one flow, a retry through the same queue.

Each round gives a message another parent, so its pathway would never end, and each round would be a point of its own
on the map. Here it ends after `MOST_ROUNDS`: the next message that arrives starts a pathway, as one without context.

All that a context carries is a hash and two times, so only what passed through this process itself is known: a circle
that leads through another process, which counts for itself, cannot be told from a fan-out, and is not bounded. Asked
only for parents that an edge has not met: what only passes through is never looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from asyncdsm.core.aggregator import Aggregator
    from asyncdsm.core.edge import Edge, Point

MOST_ROUNDS = 30
"""About as many distinct pathways as Datadog's back end takes of one service (protocol §2)."""
MOST_WATCHED = 4096
"""Points that are remembered. Beyond, the oldest is forgotten."""


class _Way(NamedTuple):
    """A point that a pathway has passed in this process."""

    edge: Edge
    before: int
    """The hash of the point that it passed before."""


class Circles:
    """The ways of pathways through this process, as far as they were new."""

    def __init__(self) -> None:
        self._ways: dict[int, _Way] = {}
        """By the hash of a point."""
        self._ended: dict[int, None] = {}
        """The parents at which a pathway has ended: from then on, all that come with them do."""

    def departure(self, aggregator: Aggregator, edge: Edge, parent: int) -> Point:
        """Return the point of a message that leaves on an edge that has not met this `parent`."""
        point = edge.point(aggregator, parent)
        _store(self._ways, point.hash, _Way(edge, parent))
        return point

    def arrival(self, aggregator: Aggregator, edge: Edge, parent: int) -> Point:
        """Return the point of a message that arrives on an edge that has not met this `parent`.

        It is that of no parent, 0, if the pathway ends here.
        """
        if parent in self._ended or self._rounds(edge, parent) >= MOST_ROUNDS:
            _store(self._ended, parent, None)
            return edge.point(aggregator, 0)
        return self.departure(aggregator, edge, parent)

    def _rounds(self, edge: Edge, before: int) -> int:
        """Count how often a pathway has passed an edge."""
        rounds = 0
        for _ in range(MOST_WATCHED):
            way = self._ways.get(before)
            if way is None or rounds >= MOST_ROUNDS:
                break
            rounds += way.edge is edge
            before = way.before
        return rounds


def _store(known: dict[int, Any], key: int, value: Any) -> None:
    if key not in known and len(known) >= MOST_WATCHED:
        known.pop(next(iter(known), 0), None)
    known[key] = value
