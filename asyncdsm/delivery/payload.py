"""Buckets to the bytes of `/v0.1/pipeline_stats` and back: the MessagePack of protocol §6."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.msgpack import Decoder, Encoder

from asyncdsm._version import __version__
from asyncdsm.core.bucket import PATHWAY, Bucket, Counts, split, yield_gil
from asyncdsm.core.edge import Point
from asyncdsm.delivery.sketch import encode
from asyncdsm.errors import PayloadError
from asyncdsm.settings import Settings

UInt64 = Annotated[int, Meta(ge=0)]  # MessagePack itself has no number above 64 bits

POINTS_BETWEEN_PAUSES = 32
"""Encoded in about 1 ms."""


class WirePoint(Struct, rename="pascal", omit_defaults=True):
    """One pathway at one edge. The three sketches are DDSketch protobufs: seconds, seconds, bytes."""

    hash: UInt64
    parent_hash: UInt64
    pathway_latency: bytes
    edge_latency: bytes
    payload_size: bytes = b""
    edge_tags: list[str] | None = None
    timestamp_type: str = ""
    """`origin` repeats what `current` counts, by the time the pathway began: java, .NET and go send both."""


class WireBacklog(Struct, rename="pascal"):
    """The highest offset seen under these tags."""

    tags: list[str]
    value: int


class WireBucket(Struct, rename="pascal", omit_defaults=True):
    """What passed from `start` (ns since the epoch) for `duration` ns."""

    start: UInt64
    duration: UInt64
    stats: list[WirePoint] | None = None
    backlogs: list[WireBacklog] | None = None


class _PackedBucket(Struct, rename="pascal", omit_defaults=True):
    """The same to be sent, its points encoded one by one: all at once they would keep the interpreter too long."""

    start: int
    duration: int
    stats: Raw
    backlogs: Raw | None = None


class Payload(Struct, rename="pascal"):
    """What one service reports at once."""

    service: str
    stats: list[WireBucket] | None
    tracer_version: str = ""
    lang: str = ""
    hostname: str = ""
    env: str | UnsetType | None = UNSET
    version: str | UnsetType | None = UNSET
    primary_tag: str | UnsetType | None = UNSET
    process_tags: list[str] | UnsetType | None = UNSET
    tags: list[str] | UnsetType | None = UNSET
    """What dd-trace-js says of the process here, in a list; asyncdsm gives each payload an id."""


_encoder, _decoder = Encoder(), Decoder(Payload)


class Packed(NamedTuple):
    """A bucket as it is sent, and what could not be encoded and was left out."""

    body: bytes
    """The gzipped payload."""
    lost: int
    """How many checkpoints were in the points that were left out."""
    errors: list[Exception]
    """Why, for each point and each offset that was left out."""


def pack(bucket: Bucket, bucket_ns: int, settings: Settings, pause: Callable[[], object] = yield_gil) -> Packed:
    """Encode one bucket. Slow work: call it in a worker thread.

    A point or an offset that cannot be encoded is left out; the rest is sent.
    """
    errors = list[Exception]()
    points, lost = _encoded_points(bucket.points(pause), pause, errors)
    backlogs = [
        encoded for tags, value in bucket.backlogs.items() if (encoded := _encoded(errors, _backlog, tags, value))
    ]
    wire = _PackedBucket(bucket.start_ns, bucket_ns, Raw(_array(points)), Raw(_array(backlogs)) if backlogs else None)
    return Packed(gzip.compress(_encoder.encode(_described(settings, [wire])), 1, mtime=0), lost, errors)


def _encoded_points(
    counted: dict[Point, Counts], pause: Callable[[], object], errors: list[Exception]
) -> tuple[list[bytes], int]:
    points, lost = list[bytes](), 0
    for index, (point, counts) in enumerate(counted.items(), start=1):
        encoded = _encoded(errors, _wire_point, point, counts)
        if encoded is None:
            lost += sum(count for key, count in counts.items() if key < PATHWAY)
        else:
            points.append(encoded)
        if index % POINTS_BETWEEN_PAUSES == 0:
            pause()
    return points, lost


def _encoded(errors: list[Exception], make: Callable[..., Struct], *parts: Any) -> bytes | None:
    try:
        return _encoder.encode(make(*parts))
    except Exception as error:
        errors.append(error)
        return None


def _backlog(tags: tuple[str, ...], value: int) -> WireBacklog:
    return WireBacklog(list(tags), value)


def _wire_point(point: Point, counts: Counts) -> WirePoint:
    edge, pathway, size = split(counts)
    return WirePoint(
        edge_tags=list(point.edge.tags),
        hash=point.hash,
        parent_hash=point.parent,
        pathway_latency=encode(pathway),
        edge_latency=encode(edge),
        payload_size=encode(size),
    )


def _array(encoded: list[bytes]) -> bytes:
    """Return the MessagePack of a list whose elements are encoded already."""
    return b"".join((b"\xdd", len(encoded).to_bytes(4, "big"), *encoded))


def unpack(data: bytes) -> Payload:
    """Read a payload that is no longer compressed.

    Raises PayloadError naming the path of the field that is wrong, such as `$.Stats[0].Start`.
    """
    try:
        return _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise PayloadError(str(error)) from None


def _described(settings: Settings, buckets: list[Any]) -> Payload:
    return Payload(
        service=settings.service,
        stats=buckets,
        tracer_version=__version__,
        lang="python",
        hostname=settings.hostname,
        env=settings.env or UNSET,
        version=settings.version or UNSET,
        primary_tag=settings.primary_tag or UNSET,
        # Two processes can count the same. An agent that drops bodies which are sent again must tell them apart.
        tags=[f"payload-id:{os.urandom(8).hex()}"],
    )
