"""Reads payloads of `/v0.1/pipeline_stats` from all tracers.

Whatever is wrong costs as little as possible: a sketch, backlog, point or bucket that cannot be read is left out and
counted by cause, and the rest is accepted. A payload is refused only if nothing of it can be used, or if it is too
large.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from msgspec import Raw

from asyncdsm.agent.intake.body import decompress_body
from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.field_reader import FieldReader, UnreadFields, split_map
from asyncdsm.agent.intake.fields import (
    ABSENT,
    BUCKETS,
    MAX_ITEMS,
    MAX_NAME,
    ORIGIN,
    RAW_PAYLOAD,
    STRING,
    TAGS,
    UNKNOWN_START,
    BucketFields,
    PointFields,
    RawPayload,
)
from asyncdsm.agent.intake.sketches import SketchReader
from asyncdsm.agent.intake.transactions import MOST_TRANSACTIONS, read_transactions
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, sum_by_group
from asyncdsm.agent.store.reports import BucketReport, FactReport, FactSums, PointReport, Report, TransactionReport
from asyncdsm.errors import SketchError

MAX_DURATION_NS = 3_600_000_000_000
UNNAMED = "unnamed-service"
"""The service of a payload without a service name. The Datadog Agent uses the same name."""
_SKETCH_NAMES = {EDGE: "EdgeLatency", PATHWAY: "PathwayLatency", SIZE: "PayloadSize"}
# Which sorted tags are cached: 16,384 of them take at most some 50 MB.
_MAX_CACHED_CHARACTERS, _MAX_CACHED_TAGS = 512, 16


def read_report(body: bytes, encoding: str) -> Report:
    """Decompress and read the body of a request with this Content-Encoding. Slow: call it in a worker thread.

    Raises IntakeError, which is a ValueError, if nothing of the body can be used.
    """
    try:
        fields = split_map(decompress_body(body, encoding), RAW_PAYLOAD)
    except (ValueError, RecursionError) as error:
        if isinstance(error, IntakeError):
            raise
        raise _make_intake_error("$", error) from None
    return _ReportReader().read_payload(fields)


def _make_intake_error(path: str, error: Exception, status: int = 400) -> IntakeError:
    """Return the IntakeError for an error of msgspec, which says where it is below `path`."""
    problem, _, below = str(error).partition(" - at `")
    return IntakeError(path + below.rstrip("`").removeprefix("$"), problem, status)


class _ReportReader(FieldReader):
    """Reads one payload, and numbers its points through all buckets."""

    def __init__(self) -> None:
        super().__init__(UnreadFields())
        self._item_count = 0
        self._point_paths: list[str] = []
        self._broken: set[int] = set()
        self._transactions: list[TransactionReport] = []
        self._sketches = SketchReader("", self._note_sketch)

    def read_payload(self, fields: RawPayload) -> Report:
        """Read the fields of the payload. Raises IntakeError if nothing of it can be used."""
        raw_buckets = _read_buckets(fields)
        service = self._read_name(fields.service, "Service", needed=True)
        if not service and "Service" in self.unread.causes and not raw_buckets:
            raise IntakeError("$.Service", self.unread.first.removeprefix("$.Service: "))
        env, version = self._read_name(fields.env, "Env"), self._read_name(fields.version, "Version")
        lang, hostname = self._read_name(fields.lang, "Lang"), self._read_name(fields.hostname, "Hostname")
        tags = tuple(self.read_field(fields.process_tags, TAGS, "$", "ProcessTags") or ())
        tags = tags if self.check_length(tags, "$", "ProcessTags") else ()
        self._sketches = SketchReader(lang, self._note_sketch)
        service = service or UNNAMED
        read = (self._read_bucket(f"$.Stats[{index}]", raw) for index, raw in enumerate(raw_buckets))
        buckets = [bucket for bucket in read if bucket is not None]
        negatives = self._sketches.negatives
        histograms, lost = self._leave_out_broken(self._sketches.histograms())
        unread, first = self.unread.causes, self.unread.first
        return Report(
            service,
            env,
            lang,
            hostname,
            buckets,
            histograms,
            version,
            tags,
            negatives,
            unread,
            first,
            self._transactions,
            self._count_left_out(lang) + lost,
        )

    def _read_name(self, raw: Raw, name: str, *, needed: bool = False) -> str:
        """Return a string field of the payload, cut to `MAX_NAME`; it is empty if it is absent or unreadable."""
        text = self.read_field(raw, STRING, "$", name, needed=needed)
        if text is None:
            return ""
        if len(text) > MAX_NAME:
            self.unread.add(name, f"$.{name}", f"has {len(text)} characters; only the first {MAX_NAME} are used")
        return text[:MAX_NAME]

    def _read_bucket(self, path: str, raw: Raw) -> BucketReport | None:
        if self._item_count + self.unread.causes.total() >= MAX_ITEMS:
            self.unread.add(
                "too many points and backlogs", path, f"comes after more than {MAX_ITEMS} points and backlogs"
            )
            return None
        bucket = self.read_bucket(path, raw)
        if bucket is None:
            return None
        self._item_count += len(bucket.stats or ()) + len(bucket.backlogs or ()) + len(bucket.asyncdsm_facts or ())
        self._transactions += read_transactions(
            bucket.transactions or b"",
            bucket.transaction_checkpoint_ids or b"",
            path,
            self.unread,
            MOST_TRANSACTIONS - len(self._transactions),
        )
        if _counts_by_origin(bucket):
            return None  # and its start, which a tracer computed from what a message said, may be anything
        start = bucket.start
        if start > UNKNOWN_START:
            self.unread.add("Start", f"{path}.Start", f"must be a time in nanoseconds since 1970, got {start}")
            start = UNKNOWN_START
        if not 0 < bucket.duration <= MAX_DURATION_NS:
            problem = f"must be above 0 and at most an hour, got {bucket.duration} ns"
            self.unread.add("Duration", f"{path}.Duration", problem)
        points, backlogs = self._read_points(path, bucket), self._read_backlogs(path, bucket)
        return BucketReport(start, bucket.duration, points, backlogs, self._read_facts(path, bucket))

    def _read_backlogs(self, path: str, bucket: BucketFields) -> list[tuple[tuple[str, ...], int]]:
        return [
            (_sort_tags(tuple(backlog.tags)), backlog.value)
            for index, backlog in enumerate(bucket.backlogs or ())
            if self.check_length(backlog.tags, f"{path}.Backlogs[{index}]", "Tags")
        ]

    def _read_facts(self, path: str, bucket: BucketFields) -> list[FactReport]:
        return [
            FactReport(
                _sort_tags(tuple(facts.edge_tags)),
                FactSums(facts.redelivered, facts.dead_lettered, facts.waits, facts.wait_ns, facts.longest_wait_ns),
                tuple((schema.id, schema.subject) for schema in facts.schemas),
            )
            for index, facts in enumerate(bucket.asyncdsm_facts or ())
            if self.check_length(facts.edge_tags, f"{path}.AsyncdsmFacts[{index}]", "EdgeTags")
        ]

    def _read_points(self, path: str, bucket: BucketFields) -> list[PointReport]:
        read = list[PointReport]()
        for index, point in enumerate(bucket.stats or ()):
            point_path, tags = f"{path}.Stats[{index}]", tuple(point.edge_tags or ())
            if point.timestamp_type == ORIGIN:
                continue
            if not self.check_length(tags, point_path, "EdgeTags"):
                self.left_out.append(point.pathway_latency)
                continue
            self._read_sketches(point_path, point)
            read.append(PointReport(_sort_tags(tags), point.hash, point.parent_hash))
        return read

    def _count_left_out(self, lang: str) -> float:
        """Return how many messages the points have that are left out, as far as their sketches can be read."""
        sketches = SketchReader(lang, lambda *_: None)
        for data in self.left_out:
            sketches.read(data, 0, PATHWAY)
        return float(sketches.histograms().counts.sum())

    def _leave_out_broken(self, histograms: Histograms) -> tuple[Histograms, float]:
        """Leave out the points with a latency that cannot be read, and return how many messages that costs.

        Maps count messages by one latency, and metrics by the other. A point without any costs one message at least.
        """
        if not self._broken:
            return histograms, 0.0
        broken, groups = np.zeros(len(self._point_paths), np.bool_), len(self._point_paths)
        broken[list(self._broken)] = True
        edges, pathways = (
            sum_by_group(each.groups, each.counts, groups)
            for each in (histograms.select_sketch(EDGE), histograms.select_sketch(PATHWAY))
        )
        return histograms.select_groups(~broken), float(np.maximum(edges, pathways).clip(1)[broken].sum())

    def _read_sketches(self, path: str, point: PointFields) -> None:
        group, read = len(self._point_paths), self._sketches.read
        self._point_paths.append(path)
        read(point.edge_latency, group, EDGE)
        read(point.pathway_latency, group, PATHWAY)
        read(point.payload_size, group, SIZE)

    def _note_sketch(self, group: int, sketch: int, error: SketchError) -> None:
        """Count a sketch that cannot be read."""
        name = _SKETCH_NAMES[sketch]
        if sketch != SIZE:
            self._broken.add(group)
        self.unread.add(name, f"{self._point_paths[group]}.{name}", str(error))


def _counts_by_origin(bucket: BucketFields) -> bool:
    """Return whether there is nothing in a bucket but points that other buckets have as `current` points."""
    points = bucket.stats or ()
    return bool(points) and not bucket.backlogs and all(point.timestamp_type == ORIGIN for point in points)


def _read_buckets(fields: RawPayload) -> list[Raw]:
    """Return the buckets, each not decoded yet. Raises IntakeError if they are no list, or a list that is too long."""
    if fields.stats is ABSENT:
        raise IntakeError("$", "missing required field `Stats`")
    try:
        return BUCKETS.decode(fields.stats) or []
    except (ValueError, RecursionError) as error:
        raise _make_intake_error("$.Stats", error, 413 if "of length <=" in str(error) else 400) from None


def _sort_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return sorted tags. Equal tags that are short share one tuple, which saves memory."""
    if sum(map(len, tags)) <= _MAX_CACHED_CHARACTERS and len(tags) <= _MAX_CACHED_TAGS:
        return _cached_sort_tags(tags)
    return tuple(sorted(tags))


@lru_cache(1 << 14)
def _cached_sort_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(tags))
