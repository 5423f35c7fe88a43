"""The way of the messages of a pipeline, as the agent's map has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """Return the map's pathway points by their checkpoint.

    A checkpoint may have two, if its tracer did not know the cluster of Kafka when the first message came.
    """
    found = dict[Hop, list[dict[str, Any]]]()
    for point in topology["pathways"]:
        tags = dict(tag.split(":", 1) for tag in point["tags"])
        found.setdefault(Hop(point["service"], tags["direction"], tags["type"]), []).append(point)
    return found


def count_hashes(points: list[dict[str, Any]]) -> dict[str, float]:
    """Return how many messages came out of a checkpoint with each hash."""
    return _sum_counts((point["hash"], point["count"]) for point in points)


def count_parents(points: list[dict[str, Any]]) -> dict[str, float]:
    """Return how many messages came into a checkpoint with each hash, "0" for none."""
    return _sum_counts((point["parent"], point["count"]) for point in points)


def _sum_counts(counts: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums = dict[str, float]()
    for name, count in counts:
        sums[name] = sums.get(name, 0.0) + count
    return sums


def find_queues(topology: dict[str, Any]) -> dict[Hop, set[tuple[str, str | None, str]]]:
    """Return which queues of the map each checkpoint leads from or to: type, cluster if it has one, name."""
    found = dict[Hop, set[tuple[str, str | None, str]]]()
    for edge in topology["edges"]:
        hop = Hop(edge["service"], edge["direction"], edge["type"])
        found.setdefault(hop, set()).add((edge["type"], edge["cluster"], edge["queue"]))
    return found
