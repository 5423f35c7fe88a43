"""Buckets to the bytes of `/v0.1/pipeline_stats` and back: the MessagePack of protocol §6."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from time import sleep
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.msgpack import Decoder, Encoder

from asyncdsm._version import __version__
from asyncdsm.bucket import Bucket, split
from asyncdsm.settings import Settings
from asyncdsm.sketch import encode

UInt64 = Annotated[int, Meta(ge=0)]  # MessagePack itself has no number above 64 bits

# A thread that computes keeps the interpreter for 5 ms at a time from the event loop, unless it lets go by itself:
# a pause every 32 points holds the loop's wait under 2 ms.
POINTS_BETWEEN_PAUSES = 32
PAUSE_SECONDS = 50e-6


class PayloadError(ValueError):
    """Bytes that are not a payload of protocol §6: the text names the field's path and what was wrong."""


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


_encoder, _decoder = Encoder(), Decoder(Payload)


def pack(bucket: Bucket, bucket_ns: int, settings: Settings, pause: Callable[[float], None] = sleep) -> bytes:
    """Return the gzipped payload of one bucket. Slow work: call it in a worker thread."""
    points = list[WirePoint]()
    counted = bucket.points(lambda: pause(PAUSE_SECONDS))
    for index, (point, counts) in enumerate(counted.items(), start=1):
        edge, pathway, size = split(counts)
        points.append(
            WirePoint(
                edge_tags=list(point.edge.tags),
                hash=point.hash,
                parent_hash=point.parent,
                pathway_latency=encode(pathway),
                edge_latency=encode(edge),
                payload_size=encode(size),
            )
        )
        if index % POINTS_BETWEEN_PAUSES == 0:
            pause(PAUSE_SECONDS)
    backlogs = [WireBacklog(list(tags), value) for tags, value in bucket.backlogs.items()]
    wire = WireBucket(bucket.start_ns, bucket_ns, points, backlogs or None)
    return gzip.compress(_encoder.encode(_described(settings, [wire])), 1, mtime=0)


def unpack(data: bytes) -> Payload:
    """Read a payload that is no longer compressed.

    Raises PayloadError naming the path of the field that is wrong, such as `$.Stats[0].Start`.
    """
    try:
        return _decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise PayloadError(str(error)) from None


def _described(settings: Settings, buckets: list[WireBucket]) -> Payload:
    return Payload(
        service=settings.service,
        stats=buckets,
        tracer_version=__version__,
        lang="python",
        hostname=settings.hostname,
        env=settings.env or UNSET,
        version=settings.version or UNSET,
        primary_tag=settings.primary_tag or UNSET,
    )
