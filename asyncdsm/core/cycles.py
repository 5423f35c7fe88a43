"""Pathways that go in circles: request and reply in one flow, a retry through the same queue.

Each round gives a message another parent, so its pathway would never end, and each round would be a point of its own
on the map. Here it ends after `MOST_ROUNDS`: the next message that arrives starts a pathway, as one without context.

A context carries a hash and two times, so only what passed through this process is known: a circle that leads through
another process cannot be told from a fan-out, and is not bounded. This is asked only for parents that are new to an
edge, so most messages never come here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from asyncdsm._internal.bounds import make_room
from asyncdsm.core.edge import Edge, Point

MOST_ROUNDS = 30
"""About as many distinct pathways as Datadog's back end accepts of one service (protocol §2)."""
MOST_WATCHED = 4096
"""How many points are remembered. Beyond, the oldest is forgotten."""


class _Step(NamedTuple):
    """A point that a pathway has passed in this process."""

    edge: Edge
    parent: int
    """The hash of the point that it passed before."""


class PathwayCycles:
    """The steps of pathways through this process, as far as they were new."""

    def __init__(self, find_point: Callable[[Edge, int], Point]) -> None:
        """`find_point` returns the point of an edge and a parent."""
        self._find_point = find_point
        # By the hash of a point.
        self._steps: dict[int, _Step] = {}
        # The parents at which a pathway has ended. All that arrive with one of them end there, too.
        self._ended: dict[int, None] = {}

    def find_produce_point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a message produced on an edge that has no point for `parent` yet."""
        point = self._find_point(edge, parent)
        _store(self._steps, point.hash, _Step(edge, parent))
        return point

    def find_consume_point(self, edge: Edge, parent: int) -> Point:
        """Return the point of a message consumed on an edge that has no point for `parent` yet.

        It is the point of no parent, 0, if the pathway ends here.
        """
        if parent in self._ended or self._count_rounds(edge, parent) >= MOST_ROUNDS:
            _store(self._ended, parent, None)
            return self._find_point(edge, 0)
        return self.find_produce_point(edge, parent)

    def _count_rounds(self, edge: Edge, parent: int) -> int:
        """Count how often a pathway has passed an edge."""
        rounds = 0
        for _ in range(MOST_WATCHED):
            step = self._steps.get(parent)
            if step is None or rounds >= MOST_ROUNDS:
                break
            rounds += step.edge is edge
            parent = step.parent
        return rounds


def _store(known: dict[int, Any], key: int, value: Any) -> None:
    if key not in known:
        make_room(known, MOST_WATCHED)
    known[key] = value
