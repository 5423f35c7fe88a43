"""What arrives at `/v0.1/pipeline_stats`, from whichever tracer: unpacked within limits, and checked field by field."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import NamedTuple

from msgspec import UNSET

from asyncdsm.agent.cells import EDGE, PATHWAY, SIZE, Cells
from asyncdsm.agent.sketches import Reader
from asyncdsm.payload import Payload, PayloadError, WireBucket, WirePoint, unpack
from asyncdsm.sketch import SketchError

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
"""10,000 points of ours unpack to 15 MB."""
MAX_DURATION_NS = 3_600_000_000_000
MAX_TIME_NS = (1 << 63) - 1
MAX_TAGS = 64
MAX_NAME = 1024
"""Characters of a service, an env or a tag; Kafka's topics have 249 at most, an ARN is some hundred."""
ORIGIN = "origin"
"""Rows that count again, by when the pathway began, what rows of type `current` count by when it passed."""


class IntakeError(ValueError):
    """A body that is not taken: `path` names the field, `status` is the HTTP status to answer with."""

    def __init__(self, path: str, problem: str, status: int = 400) -> None:
        super().__init__(f"{path}: {problem}")
        self.path: str = path
        self.problem: str = problem
        self.status: int = status


class PointReport(NamedTuple):
    """One pathway at one edge, during one bucket. Its counts are in the report's `cells`."""

    tags: tuple[str, ...]
    hash: int
    parent: int


class BucketReport(NamedTuple):
    """What passed in a stretch of time."""

    start_ns: int
    duration_ns: int
    points: list[PointReport]
    backlogs: list[tuple[tuple[str, ...], int]]


class Report(NamedTuple):
    """One payload, checked. The groups of `cells` are the points of all buckets, in their order, from 0."""

    service: str
    env: str
    lang: str
    hostname: str
    buckets: list[BucketReport]
    cells: Cells


async def read_body(parts: AsyncIterator[bytes]) -> bytes:
    """Collect a request's body. Raises IntakeError (413) as soon as it is over 16 MiB."""
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise IntakeError("body", f"larger than {MAX_BODY_BYTES} bytes", 413)
    return bytes(body)


def read_report(body: bytes, encoding: str) -> Report:
    """Unpack and check a body. Slow work: call it in a worker thread.

    `encoding` is the request's Content-Encoding. Raises IntakeError naming the field that is wrong.
    """
    try:
        payload = unpack(_decompressed(body, encoding))
    except PayloadError as error:
        problem, _, path = str(error).partition(" - at `")
        raise IntakeError(path.rstrip("`") or "$", problem) from None
    return _report(payload)


def _decompressed(body: bytes, encoding: str) -> bytes:
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise IntakeError("Content-Encoding", f"{encoding[:40]!r} is not known; gzip or none is", 415)
    unpacked = bytearray()
    while body:  # a body may be several gzip members, one behind the other (RFC 1952 §2.2)
        unpacker = zlib.decompressobj(wbits=31)
        try:
            unpacked += unpacker.decompress(body, MAX_UNPACKED_BYTES - len(unpacked) + 1)
        except zlib.error as error:
            raise IntakeError("body", f"not gzip: {error}") from None
        if len(unpacked) > MAX_UNPACKED_BYTES:
            raise IntakeError("body", f"unpacks to more than {MAX_UNPACKED_BYTES} bytes", 413)
        if not unpacker.eof:
            raise IntakeError("body", "gzip ends too early")
        body = unpacker.unused_data
    return bytes(unpacked)


def _report(payload: Payload) -> Report:
    env = "" if payload.env is UNSET or payload.env is None else payload.env
    for path, name in (("$.Service", payload.service), ("$.Env", env)):
        _check_length(path, name)
    reader = _PointReader()
    buckets = [reader.bucket(f"$.Stats[{index}]", bucket) for index, bucket in enumerate(payload.stats or ())]
    return Report(payload.service, env, payload.lang, payload.hostname, buckets, reader.cells())


class _PointReader(Reader):
    """Reads buckets, and numbers their points."""

    def __init__(self) -> None:
        super().__init__()
        self._points = 0

    def bucket(self, path: str, bucket: WireBucket) -> BucketReport:
        if not 0 < bucket.duration <= MAX_DURATION_NS:
            raise IntakeError(f"{path}.Duration", f"{bucket.duration} ns; it must be above 0 and at most an hour")
        if bucket.start > MAX_TIME_NS:
            raise IntakeError(f"{path}.Start", f"{bucket.start} is not a time in ns since 1970")
        points = [
            self._point(f"{path}.Stats[{index}]", point)
            for index, point in enumerate(bucket.stats or ())
            if point.timestamp_type != ORIGIN
        ]
        backlogs = [
            (_sorted(f"{path}.Backlogs[{index}]", "Tags", backlog.tags), backlog.value)
            for index, backlog in enumerate(bucket.backlogs or ())
        ]
        return BucketReport(bucket.start, bucket.duration, points, backlogs)

    def _point(self, path: str, point: WirePoint) -> PointReport:
        group, self._points = self._points, self._points + 1
        at = "EdgeLatency"
        try:
            self.read(point.edge_latency, group, EDGE)
            at = "PathwayLatency"
            self.read(point.pathway_latency, group, PATHWAY)
            at = "PayloadSize"
            self.read(point.payload_size, group, SIZE)
        except SketchError as error:
            raise IntakeError(f"{path}.{at}", str(error)) from None
        return PointReport(_sorted(path, "EdgeTags", point.edge_tags or []), point.hash, point.parent_hash)


def _sorted(path: str, name: str, tags: list[str]) -> tuple[str, ...]:
    try:
        return _sorted_tags(tuple(tags))
    except ValueError as error:
        raise IntakeError(f"{path}.{name}", str(error)) from None


@lru_cache(1 << 14)
def _sorted_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    if len(tags) > MAX_TAGS:
        raise ValueError(f"{len(tags)} tags; at most {MAX_TAGS} are taken")
    longest = max(map(len, tags), default=0)
    if longest > MAX_NAME:
        raise ValueError(f"a tag of {longest} characters; at most {MAX_NAME} are taken")
    return tuple(sorted(tags))


def _check_length(path: str, name: str) -> None:
    if len(name) > MAX_NAME:
        raise IntakeError(path, f"{len(name)} characters; at most {MAX_NAME} are taken")
