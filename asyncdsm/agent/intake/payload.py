"""What arrives at `/v0.1/pipeline_stats`, from whichever tracer: unpacked within limits, and read field by field.

What is odd costs as little as possible: an unreadable sketch, backlog, point or bucket is left out and counted by
cause, and the rest is taken. A body is refused only if nothing of it can be used, or if it is too large.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Raw

from asyncdsm.agent.intake.fields import (
    ABSENT,
    BUCKETS,
    MAX_ITEMS,
    MAX_NAME,
    RAW_PAYLOAD,
    TAGS,
    TEXT,
    UNKNOWN_START,
    BucketFields,
    FieldReader,
    PointFields,
    RawPayload,
    Unread,
    split_map,
)
from asyncdsm.agent.intake.sketches import SketchReader
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms
from asyncdsm.errors import AsyncDSMError, SketchError

MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_HELD_BYTES = 256 * 1024 * 1024
"""All bodies together that are being read, or wait to be stored."""
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
"""10,000 points of ours unpack to 15 MB."""
MAX_GZIP_MEMBERS = 1_000
MAX_DURATION_NS = 3_600_000_000_000
UNNAMED = "unnamed-service"
"""The service of a payload that names none, or an empty one, as the Datadog Agent calls it."""
ORIGIN = "origin"
"""Rows that count again, by when the pathway began, what rows of type `current` count by when it passed."""
_MAX_KEPT_CHARACTERS, _MAX_KEPT_TAGS = 512, 16
"""Of tags that are kept sorted: 16,384 of them take some 50 MB at the very most."""
_CHUNK_BYTES = 64 * 1024
_NOTHING: Mapping[str, int] = MappingProxyType({})


class IntakeError(AsyncDSMError, ValueError):
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
    cells: Histograms
    version: str = ""
    process_tags: tuple[str, ...] = ()
    negatives: float = 0.0
    """How many latencies were below zero: the clocks of two machines disagree. They are counted as zeros."""
    unread: Mapping[str, int] = _NOTHING
    """What was left out, by cause, which is the name of a field in most cases."""
    first_unread: str = ""
    """Where something was left out first, and why."""


async def read_body(parts: AsyncIterator[bytes]) -> bytes:
    """Collect a request's body. Raises IntakeError (413) as soon as it is over 16 MiB."""
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise IntakeError("body", f"larger than {MAX_BODY_BYTES} bytes", 413)
    return bytes(body)


class BodyMemory:
    """How many bytes of bodies are being read, or wait to be stored; for one event loop."""

    def __init__(self) -> None:
        self.held: int = 0

    async def read(self, parts: AsyncIterator[bytes]) -> bytes:
        """Collect a body, which is held until `release`. Raises IntakeError: 413, or 503 where too much is held."""
        before = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal before
            async for part in parts:
                before += len(part)
                self.held += len(part)
                if self.held > MAX_HELD_BYTES:
                    raise IntakeError("body", f"{MAX_HELD_BYTES} bytes of bodies wait already; send it again", 503)
                yield part

        try:
            return await read_body(counted())
        except BaseException:
            self.held -= before
            raise

    def release(self, body: bytes) -> None:
        """Let go of a body that was read."""
        self.held -= len(body)


def read_report(body: bytes, encoding: str) -> Report:
    """Unpack and read a body. Slow work: call it in a worker thread.

    `encoding` is the request's Content-Encoding. Raises IntakeError for a body of which nothing can be used.
    """
    try:
        fields = split_map(decompress_body(body, encoding), RAW_PAYLOAD)
    except (ValueError, RecursionError) as error:
        if isinstance(error, IntakeError):
            raise
        raise _refusal("$", error) from None
    return _ReportReader().report(fields)


def _refusal(path: str, error: Exception, status: int = 400) -> IntakeError:
    problem, _, below = str(error).partition(" - at `")
    return IntakeError(path + below.rstrip("`").removeprefix("$"), problem, status)


def decompress_body(body: bytes, encoding: str) -> bytes:
    """Return what a body holds, by its Content-Encoding. Raises IntakeError: 400, 413 where it is too large, or 415."""
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise IntakeError("Content-Encoding", f"{encoding[:40]!r} is not known; gzip or none is", 415)
    unpacked, rest, members = bytearray(), memoryview(body), 0
    while rest:  # a body may be several gzip members, one after the other (RFC 1952 §2.2)
        members += 1
        if members > MAX_GZIP_MEMBERS:
            raise IntakeError("body", f"more than {MAX_GZIP_MEMBERS} gzip members", 413)
        rest = _unpack_member(rest, unpacked)
    return bytes(unpacked)


def _unpack_member(packed: memoryview, unpacked: bytearray) -> memoryview:
    """Append what the first gzip member holds to `unpacked`, and return what follows it. Raises IntakeError."""
    unpacker = zlib.decompressobj(wbits=31)
    while not unpacker.eof:
        if not packed:
            raise IntakeError("body", "gzip ends too early")
        chunk = packed[:_CHUNK_BYTES]  # `unused_data` is a copy: of all that follows, it would take quadratic time
        try:
            unpacked += unpacker.decompress(chunk, MAX_UNPACKED_BYTES - len(unpacked) + 1)
        except zlib.error as error:
            raise IntakeError("body", f"not gzip: {error}") from None
        if len(unpacked) > MAX_UNPACKED_BYTES:
            raise IntakeError("body", f"unpacks to more than {MAX_UNPACKED_BYTES} bytes", 413)
        packed = packed[len(chunk) - len(unpacker.unused_data) :]
    return packed


class _ReportReader(FieldReader):
    """Reads one payload, and numbers its points."""

    def __init__(self) -> None:
        super().__init__(Unread())
        self._item_count = self._point_count = 0
        self._sketches = SketchReader()

    def report(self, fields: RawPayload) -> Report:
        """Read a payload. Raises IntakeError where nothing of it can be used."""
        raw_buckets = _buckets_of(fields)
        service = self._name(fields.service, "Service", needed=True)
        if not service and "Service" in self.unread.causes and not raw_buckets:
            raise IntakeError("$.Service", self.unread.first.removeprefix("$.Service: "))
        env, version = self._name(fields.env, "Env"), self._name(fields.version, "Version")
        lang, hostname = self._name(fields.lang, "Lang"), self._name(fields.hostname, "Hostname")
        tags = tuple(self.field(fields.process_tags, TAGS, "$", "ProcessTags") or ())
        tags = tags if self.are_short(tags, "$", "ProcessTags") else ()
        self._sketches = SketchReader(lang)
        service = service or UNNAMED
        read = (self._bucket(f"$.Stats[{index}]", raw) for index, raw in enumerate(raw_buckets))
        buckets = [bucket for bucket in read if bucket is not None]
        cells, negatives = self._sketches.cells(), self._sketches.negatives
        unread, first = self.unread.causes, self.unread.first
        return Report(service, env, lang, hostname, buckets, cells, version, tags, negatives, unread, first)

    def _name(self, raw: Raw, name: str, *, needed: bool = False) -> str:
        """Return a string of the payload's own, cut to what is taken; an empty one where it is unreadable."""
        text = self.field(raw, TEXT, "$", name, needed=needed)
        if text is None:
            return ""
        if len(text) > MAX_NAME:
            self.unread.add(name, f"$.{name}", f"{len(text)} characters; the first {MAX_NAME} are taken")
        return text[:MAX_NAME]

    def _bucket(self, path: str, raw: Raw) -> BucketReport | None:
        if self._item_count + self.unread.causes.total() >= MAX_ITEMS:
            self.unread.add("too many points and backlogs", path, f"more than {MAX_ITEMS} before")
            return None
        bucket = self.bucket(path, raw)
        if bucket is None:
            return None
        self._item_count += len(bucket.stats or ()) + len(bucket.backlogs or ())
        start = bucket.start
        if start > UNKNOWN_START:
            self.unread.add("Start", f"{path}.Start", f"{start} is not a time in ns since 1970")
            start = UNKNOWN_START
        if not 0 < bucket.duration <= MAX_DURATION_NS:
            problem = f"{bucket.duration} ns; it should be above 0 and at most an hour"
            self.unread.add("Duration", f"{path}.Duration", problem)
        return BucketReport(start, bucket.duration, self._points_of(path, bucket), self._backlogs_of(path, bucket))

    def _backlogs_of(self, path: str, bucket: BucketFields) -> list[tuple[tuple[str, ...], int]]:
        return [
            (_sorted_tags(tuple(backlog.tags)), backlog.value)
            for index, backlog in enumerate(bucket.backlogs or ())
            if self.are_short(backlog.tags, f"{path}.Backlogs[{index}]", "Tags")
        ]

    def _points_of(self, path: str, bucket: BucketFields) -> list[PointReport]:
        points = enumerate(bucket.stats or ())
        return [
            self._point_report(f"{path}.Stats[{index}]", point)
            for index, point in points
            if point.timestamp_type != ORIGIN
            and self.are_short(point.edge_tags or (), f"{path}.Stats[{index}]", "EdgeTags")
        ]

    def _point_report(self, path: str, point: PointFields) -> PointReport:
        group, self._point_count = self._point_count, self._point_count + 1
        self._read_sketch(point.edge_latency, group, EDGE, path, "EdgeLatency")
        self._read_sketch(point.pathway_latency, group, PATHWAY, path, "PathwayLatency")
        self._read_sketch(point.payload_size, group, SIZE, path, "PayloadSize")
        return PointReport(_sorted_tags(tuple(point.edge_tags or ())), point.hash, point.parent_hash)

    def _read_sketch(self, data: bytes, group: int, sketch: int, path: str, name: str) -> None:
        try:
            self._sketches.read(data, group, sketch)
        except SketchError as error:
            self.unread.add(name, f"{path}.{name}", str(error))


def _buckets_of(fields: RawPayload) -> list[Raw]:
    """Return the buckets, not decoded yet. Raises IntakeError where there is no list of them, or too long a one."""
    if fields.stats is ABSENT:
        raise IntakeError("$", "missing required field `Stats`")
    try:
        return BUCKETS.decode(fields.stats) or []
    except (ValueError, RecursionError) as error:
        raise _refusal("$.Stats", error, 413 if "of length <=" in str(error) else 400) from None


def _sorted_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return sorted tags; of short ones the same tuple each time, which saves memory."""
    if sum(map(len, tags)) <= _MAX_KEPT_CHARACTERS and len(tags) <= _MAX_KEPT_TAGS:
        return _kept_sorted_tags(tags)
    return tuple(sorted(tags))


@lru_cache(1 << 14)
def _kept_sorted_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(tags))
