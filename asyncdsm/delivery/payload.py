"""Encodes buckets as payloads of `POST /v0.1/pipeline_stats`, and decodes payloads: MessagePack (protocol §6)."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.msgpack import Decoder, Encoder

from asyncdsm._internal.pauses import yield_gil
from asyncdsm._version import __version__
from asyncdsm.core.bucket import Bucket, Histograms
from asyncdsm.core.edge import Point
from asyncdsm.delivery.sketch import encode
from asyncdsm.errors import PayloadError
from asyncdsm.settings import Settings

UInt64 = Annotated[int, Meta(ge=0)]  # MessagePack itself has no numbers of more than 64 bits

POINTS_BETWEEN_PAUSES = 32
"""How many points are encoded between two pauses, which takes about 1 ms."""


class WirePoint(Struct, rename="pascal", omit_defaults=True):
    """One pathway at one edge. The three sketches are DDSketch protobufs: seconds, seconds, bytes."""

    hash: UInt64
    parent_hash: UInt64
    pathway_latency: bytes
    edge_latency: bytes
    payload_size: bytes = b""
    edge_tags: list[str] | None = None
    timestamp_type: str = ""
    """`current` or `origin`. The tracers for Java, .NET and Go report each point twice: once more, as `origin`, in the
    bucket in which its pathway began."""


class WireBacklog(Struct, rename="pascal"):
    """A backlog: the highest offset seen under these tags."""

    tags: list[str]
    value: int


class WireBucket(Struct, rename="pascal", omit_defaults=True):
    """What passed from `start` (ns since the epoch) on, for `duration` ns."""

    start: UInt64
    duration: UInt64
    stats: list[WirePoint] | None = None
    backlogs: list[WireBacklog] | None = None


class _PackedBucket(Struct, rename="pascal", omit_defaults=True):
    """A `WireBucket` to send. Its points are encoded one by one: all at once would block other threads too long."""

    start: int
    duration: int
    stats: Raw
    backlogs: Raw | None = None


class Payload(Struct, rename="pascal"):
    """One report of one service."""

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
    """Tags of the payload: dd-trace-js describes its process here, asyncdsm gives each payload an id."""


_encoder, _decoder = Encoder(), Decoder(Payload)


class Packed(NamedTuple):
    """An encoded bucket, and what was left out because it could not be encoded."""

    body: bytes
    """The gzipped payload."""
    lost: int
    """The number of checkpoints in the points that were left out."""
    errors: list[Exception]
    """The errors, one for each point and each offset that was left out."""


def pack(bucket: Bucket, bucket_ns: int, settings: Settings, pause: Callable[[], object] = yield_gil) -> Packed:
    """Encode one bucket, which is `bucket_ns` long. Slow work: call it in a worker thread.

    A point or an offset that cannot be encoded is left out. `pause` is called now and then, to let other threads run.
    """
    errors = list[Exception]()
    points, lost = _encode_points(bucket.points(), pause, errors)
    backlogs = [
        encoded for tags, value in bucket.backlogs.items() if (encoded := _encode(errors, _wire_backlog, tags, value))
    ]
    wire = _PackedBucket(
        bucket.start_ns, bucket_ns, Raw(_encode_array(points)), Raw(_encode_array(backlogs)) if backlogs else None
    )
    return Packed(gzip.compress(_encoder.encode(_wire_payload(settings, [wire])), 1, mtime=0), lost, errors)


def _encode_points(
    counted: dict[Point, Histograms], pause: Callable[[], object], errors: list[Exception]
) -> tuple[list[bytes], int]:
    points, lost = list[bytes](), 0
    for index, (point, histograms) in enumerate(counted.items(), start=1):
        encoded = _encode(errors, _wire_point, point, histograms)
        if encoded is None:
            lost += sum(histograms.edge_latency.values())
        else:
            points.append(encoded)
        if index % POINTS_BETWEEN_PAUSES == 0:
            pause()
    return points, lost


def _encode(errors: list[Exception], make: Callable[..., Struct], *parts: Any) -> bytes | None:
    try:
        return _encoder.encode(make(*parts))
    except Exception as error:
        errors.append(error)
        return None


def _wire_backlog(tags: tuple[str, ...], value: int) -> WireBacklog:
    return WireBacklog(list(tags), value)


def _wire_point(point: Point, histograms: Histograms) -> WirePoint:
    return WirePoint(
        edge_tags=list(point.edge.tags),
        hash=point.hash,
        parent_hash=point.parent,
        pathway_latency=encode(histograms.pathway_latency),
        edge_latency=encode(histograms.edge_latency),
        payload_size=encode(histograms.payload_size),
    )


def _encode_array(encoded: list[bytes]) -> bytes:
    """Return the MessagePack of a list whose elements are already encoded."""
    return b"".join((b"\xdd", len(encoded).to_bytes(4, "big"), *encoded))


def unpack(data: bytes) -> Payload:
    """Decode an uncompressed payload.

    Raises PayloadError, whose message names the path of the wrong field, such as `$.Stats[0].Start`.
    """
    try:
        return _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise PayloadError(str(error)) from None


def _wire_payload(settings: Settings, buckets: list[Any]) -> Payload:
    return Payload(
        service=settings.service,
        stats=buckets,
        tracer_version=__version__,
        lang="python",
        hostname=settings.hostname,
        env=settings.env or UNSET,
        version=settings.version or UNSET,
        primary_tag=settings.primary_tag or UNSET,
        # An agent drops a body that was sent twice. Two processes may count the same, so the id tells them apart.
        tags=[f"payload-id:{os.urandom(8).hex()}"],
    )
