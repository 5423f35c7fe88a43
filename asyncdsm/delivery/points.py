"""Encodes the points of a bucket: a row of a payload for each (protocol §6)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Raw, Struct
from msgspec.msgpack import Encoder

from asyncdsm.core.bucket import Bucket, Histograms
from asyncdsm.core.edge import Point
from asyncdsm.core.implementation import native
from asyncdsm.delivery.sketch import encode

UInt64 = Annotated[int, Meta(ge=0)]  # MessagePack itself has no numbers of more than 64 bits

_encode = Encoder().encode


class _EncodedPoint(Struct, rename="pascal"):
    """One pathway at one edge. The three sketches are DDSketch protobufs: seconds, seconds, bytes."""

    hash: UInt64
    parent_hash: UInt64
    pathway_latency: bytes
    edge_latency: bytes
    payload_size: bytes
    edge_tags: Raw


@lru_cache(4096)
def encode_tags(tags: tuple[str, ...]) -> bytes:
    """Return the MessagePack of an edge's tags."""
    return _encode(tags)


class PlainPointEncoder:
    """Encodes the points of a bucket, some at a time. A point that cannot be encoded is left out."""

    points_at_once: int = 32
    """How many points take about 1 ms, in which other threads wait."""

    def __init__(self, bucket: Bucket) -> None:
        self._points: Iterator[tuple[Point, Histograms]] = iter(bucket.points().items())
        self.errors: list[Exception] = []
        """The errors, one for each point that was left out."""
        self.lost: int = 0
        """The number of checkpoints in the points that were left out."""
        self.encoded: int = 0
        """The number of points that were encoded."""

    def encode_some(self) -> bytes | None:
        """Return the MessagePack of the next points, one after the other; None after the last."""
        points = list(islice(self._points, self.points_at_once))
        return b"".join(self._encode_point(*each) for each in points) if points else None

    def _encode_point(self, point: Point, histograms: Histograms) -> bytes:
        edge_latency, pathway_latency, payload_size = histograms
        try:
            row = _EncodedPoint(
                hash=point.hash,
                parent_hash=point.parent,
                pathway_latency=encode(pathway_latency),
                edge_latency=encode(edge_latency),
                payload_size=encode(payload_size),
                edge_tags=Raw(encode_tags(point.edge.tags)),
            )
        except Exception as error:
            self.errors.append(error)
            self.lost += sum(edge_latency.values())
            return b""
        self.encoded += 1
        return _encode(row)


if TYPE_CHECKING or native is None:
    PointEncoder = PlainPointEncoder
else:

    def PointEncoder(bucket: Bucket) -> PlainPointEncoder:  # noqa: N802
        """Return the native core's encoder, which writes the same."""
        return native.PointEncoder(bucket, encode_tags)
