"""The way of the messages of a pipeline, as the agent's map has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.interop.running import Step


class Hop(NamedTuple):
    """A checkpoint that a pipeline must have passed, once for each message."""

    service: str
    direction: str
    type: str


def expected_hops(steps: Sequence[Step]) -> list[Hop]:
    """Return the checkpoints in the order in which a message passes them."""
    return [
        Hop(step.service, direction, place.partition(":")[0])
        for step in steps
        for direction, place in (("in", step.source), ("out", step.target))
        if place != "-"
    ]


def find_points(topology: dict[str, Any]) -> dict[Hop, list[dict[str, Any]]]:
    """Return the map's pathway points by their checkpoint."""
    found = dict[Hop, list[dict[str, Any]]]()
    for point in topology["pathways"]:
        tags = dict(tag.split(":", 1) for tag in point["tags"])
        found.setdefault(Hop(point["service"], tags["direction"], tags["type"]), []).append(point)
    return found


def find_queues(topology: dict[str, Any]) -> dict[Hop, tuple[str, str | None, str]]:
    """Return which queue of the map each edge leads from or to: its type, its cluster if it has one, its name."""
    return {
        Hop(edge["service"], edge["direction"], edge["type"]): (edge["type"], edge["cluster"], edge["queue"])
        for edge in topology["edges"]
    }
