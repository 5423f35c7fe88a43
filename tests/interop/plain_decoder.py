"""What payloads say, read without any code of asyncdsm: by MessagePack and the classes of PyPI's `ddsketch` alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ddsketch.pb import ddsketch_pb2
from msgspec import structs
from msgspec.msgpack import decode

from tests.agent.recordings import RecordedPoint

ROUND_UP = {"javascript"}
"""Tracers whose bin is the power of gamma that ends it; for the others it is the one that begins it."""

_pb: Any = ddsketch_pb2


class PlainSketch(NamedTuple):
    """How many values a sketch has, how many of them are negative, and the upper end of its highest bin."""

    total: int
    negative: int
    largest: float


def summarize_points(bodies: Iterable[bytes]) -> list[RecordedPoint]:
    """Return the points of payloads, each once, in order. What is by the time of the origin is left out."""
    points = dict[tuple[Any, ...], RecordedPoint]()
    for lang, service, bucket in _buckets(bodies):
        for stats in bucket["Stats"]:
            if stats.get("TimestampType") != "origin":
                point = _read_point(service, stats, rounds_up=lang in ROUND_UP)
                key = service, point.tags, point.parent, point.hash
                points[key] = _add_points(points[key], point) if key in points else point
    return sorted(points.values())


def highest_backlogs(bodies: Iterable[bytes]) -> dict[str, int]:
    """Return the highest offset of each backlog by its tags, sorted and joined by spaces."""
    highest = dict[str, int]()
    for *_, bucket in _buckets(bodies):
        for backlog in bucket.get("Backlogs") or ():
            tags = " ".join(sorted(backlog["Tags"]))
            highest[tags] = max(int(backlog["Value"]), highest.get(tags, 0))
    return highest


def _buckets(bodies: Iterable[bytes]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for body in bodies:
        payload = decode(body)
        for bucket in payload["Stats"]:
            yield payload["Lang"], payload["Service"], bucket


def _read_point(service: str, stats: dict[str, Any], *, rounds_up: bool) -> RecordedPoint:
    edge, pathway, size = (
        _read_sketch(stats[name], rounds_up=rounds_up) for name in ("EdgeLatency", "PathwayLatency", "PayloadSize")
    )
    assert edge.total == pathway.total
    return RecordedPoint(
        service=service,
        tags=tuple(sorted(stats["EdgeTags"])),
        parent=stats["ParentHash"],
        hash=stats["Hash"],
        count=edge.total,
        longest_edge=edge.largest,
        longest_pathway=pathway.largest,
        largest_size=size.largest,
        negative=edge.negative,
    )


def _read_sketch(data: bytes, *, rounds_up: bool) -> PlainSketch:
    sketch = _pb.DDSketch.FromString(data)
    positive, negative = (_counted_bins(store) for store in (sketch.positiveValues, sketch.negativeValues))
    total = sum(positive.values()) + sum(negative.values()) + sketch.zeroCount
    mapping = sketch.mapping
    upper_end = max(positive, default=0) + (0 if rounds_up else 1) - mapping.indexOffset
    largest = mapping.gamma**upper_end if positive else 0.0
    return PlainSketch(round(total), round(sum(negative.values())), float(f"{largest:.6g}"))


def _counted_bins(store: Any) -> dict[int, float]:
    bins = dict[int, float](store.binCounts)
    for place, count in enumerate(store.contiguousBinCounts, store.contiguousBinIndexOffset):
        bins[place] = bins.get(place, 0.0) + count
    return {place: count for place, count in bins.items() if count}


def _add_points(one: RecordedPoint, other: RecordedPoint) -> RecordedPoint:
    return structs.replace(
        one,
        count=one.count + other.count,
        longest_edge=max(one.longest_edge, other.longest_edge),
        longest_pathway=max(one.longest_pathway, other.longest_pathway),
        largest_size=max(one.largest_size, other.largest_size),
        negative=one.negative + other.negative,
    )
