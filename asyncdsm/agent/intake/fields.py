"""The fields of a payload (`POST /v0.1/pipeline_stats`), decoded so that one odd field costs nothing but itself.

Each level is decoded as a whole first, which is fast. Where that fails, its fields are decoded one by one, and what
cannot be read is counted in `Unread` by the name of its field.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

from msgspec import Meta, Raw, Struct
from msgspec.msgpack import Decoder
from msgspec.structs import fields as struct_fields

MAX_BUCKETS = 20_000
"""Two days of buckets of ten seconds."""
MAX_ITEMS = 100_000
"""PointRegistry in one bucket, or backlogs; asyncdsm itself sends at most 10,000 points."""
MAX_UNREAD = 10_000
"""Errors in one payload. Each takes some time to find."""
MAX_TAGS = 64
MAX_NAME = 1024
"""Characters of a service, an env or a tag. Kafka's topics have at most 249, an ARN has some hundred."""
MAX_TAG_CHARACTERS = 4096
"""Characters of all tags of a point, a backlog or a process. Those of a Kafka edge have some hundred."""
MAX_UINT64, MAX_INT64 = (1 << 64) - 1, (1 << 63) - 1
_EXACT = 1 << 53
UNKNOWN_START = MAX_INT64
"""The start of a bucket that does not say when it was. The store takes it as one of now, as from a clock ahead."""
USUAL_DURATION = 10_000_000_000

UInt64 = Annotated[int, Meta(ge=0)]  # MessagePack itself has no number above 64 bits
Tags = Annotated[list[Annotated[str, Meta(max_length=MAX_NAME)]], Meta(max_length=MAX_TAGS)]
_RawBuckets: TypeAlias = Annotated[list[Raw], Meta(max_length=MAX_BUCKETS)] | None
_RawItems: TypeAlias = Annotated[list[Raw], Meta(max_length=MAX_ITEMS)] | None
ABSENT = Raw()
S = TypeVar("S", bound=Struct)
T = TypeVar("T")


class Unread:
    """What could not be read in one payload, or was not taken: how often by cause, and where it was first seen."""

    def __init__(self) -> None:
        self.causes: Counter[str] = Counter()
        self.first: str = ""

    def add(self, cause: str, path: str, problem: str, count: int = 1) -> None:
        """Count something; `path` and `problem` say what is wrong where, for the log."""
        self.causes[cause] += count
        self.first = self.first or f"{path}: {problem}"


class PointFields(Struct, rename="pascal"):
    """One pathway at one edge. The three sketches are DDSketch protobufs: seconds, seconds, bytes."""

    hash: UInt64
    parent_hash: UInt64
    pathway_latency: bytes
    edge_latency: bytes
    payload_size: bytes = b""
    edge_tags: Tags | None = None
    timestamp_type: str = ""


class BacklogFields(Struct, rename="pascal"):
    """The highest offset seen under these tags."""

    tags: Tags
    value: int


class BucketFields(Struct, rename="pascal"):
    """What passed from `start` (ns since the epoch) for `duration` ns."""

    start: UInt64
    duration: UInt64
    stats: Annotated[list[PointFields], Meta(max_length=MAX_ITEMS)] | None = None
    backlogs: Annotated[list[BacklogFields], Meta(max_length=MAX_ITEMS)] | None = None


class RawPayload(Struct, rename="pascal"):
    """The fields of a payload that are looked at, not decoded yet."""

    service: Raw = ABSENT
    env: Raw = ABSENT
    version: Raw = ABSENT
    lang: Raw = ABSENT
    hostname: Raw = ABSENT
    process_tags: Raw = ABSENT
    stats: Raw = ABSENT


class _RawBucket(Struct, rename="pascal"):
    start: Raw = ABSENT
    duration: Raw = ABSENT
    stats: Raw = ABSENT
    backlogs: Raw = ABSENT


class _RawPoint(Struct, rename="pascal"):
    hash: Raw = ABSENT
    parent_hash: Raw = ABSENT
    pathway_latency: Raw = ABSENT
    edge_latency: Raw = ABSENT
    payload_size: Raw = ABSENT
    edge_tags: Raw = ABSENT
    timestamp_type: Raw = ABSENT


class _RawBacklog(Struct, rename="pascal"):
    tags: Raw = ABSENT
    value: Raw = ABSENT


TEXT: Decoder[str | None] = Decoder(str | None)
TAGS: Decoder[Any] = Decoder(Tags | None)
_BACKLOG_TAGS: Decoder[list[str]] = Decoder(Tags)
_NUMBER: Decoder[int | float] = Decoder(int | float)
_BYTES: Decoder[bytes] = Decoder(bytes)
_ANY_MAP: Decoder[dict[Any, Raw]] = Decoder(dict[Any, Raw])
_BUCKET, _POINT, _BACKLOG = Decoder(BucketFields), Decoder(PointFields), Decoder(BacklogFields)
_RAW_BUCKET, _RAW_POINT, _RAW_BACKLOG = Decoder(_RawBucket), Decoder(_RawPoint), Decoder(_RawBacklog)
RAW_PAYLOAD: Decoder[RawPayload] = Decoder(RawPayload)
BUCKETS: Decoder[list[Raw] | None] = Decoder(_RawBuckets)
_ITEMS: Decoder[list[Raw] | None] = Decoder(_RawItems)


def split_map(data: bytes | Raw, decoder: Decoder[S]) -> S:
    """Decode a map whose fields stay as they are. Raises ValueError or RecursionError where it is no map."""
    try:
        return decoder.decode(data)
    except ValueError as error:
        try:
            items = _ANY_MAP.decode(data)  # keys need not be strings
        except ValueError:
            raise error from None
        names = {field.encode_name: field.name for field in struct_fields(decoder.type)}
        known = {names[key]: value for key, value in items.items() if key in names}
        made: S = decoder.type(**known)
        return made


class FieldReader:
    """Decodes fields, and counts in `unread` what cannot be decoded."""

    def __init__(self, unread: Unread) -> None:
        self.unread: Unread = unread

    def field(self, raw: Raw, decoder: Decoder[T], path: str, name: str, *, needed: bool = False) -> T | None:
        """Return the value of a field, or None where it is absent or unreadable.

        `needed` counts it as unreadable where it is absent, or null.
        """
        try:
            value = decoder.decode(raw) if raw is not ABSENT else None
        except (ValueError, RecursionError) as error:
            self.unread.add(name, f"{path}.{name}", str(error))
            return None
        if needed and value is None:
            self.unread.add(name, f"{path}.{name}", "is missing")
        return value

    def are_short(self, tags: Sequence[str], path: str, name: str) -> bool:
        """Say whether tags have at most `MAX_TAG_CHARACTERS` in all, and count them as unread where they have more."""
        characters = sum(map(len, tags))
        if characters <= MAX_TAG_CHARACTERS:
            return True
        problem = f"the tags have {characters} characters in all; at most {MAX_TAG_CHARACTERS} are taken"
        self.unread.add(name, f"{path}.{name}", problem)
        return False

    def bucket(self, path: str, raw: Raw) -> BucketFields | None:
        """Return what can be read of a bucket; None where it is no map."""
        try:
            return _BUCKET.decode(raw)
        except (ValueError, RecursionError):
            pass  # something in it is odd
        split = self._split(raw, _RAW_BUCKET, path, "bucket")
        if split is None:
            return None
        points = self.field(split.stats, _ITEMS, path, "Stats") or []
        backlogs = self.field(split.backlogs, _ITEMS, path, "Backlogs") or []
        start = self._whole(split.start, path, "Start", least=0)
        duration = self._whole(split.duration, path, "Duration", least=0)
        return BucketFields(
            UNKNOWN_START if start is None else start,
            USUAL_DURATION if duration is None else duration,
            list(self._items(f"{path}.Stats", points, _POINT, self._point)),
            list(self._items(f"{path}.Backlogs", backlogs, _BACKLOG, self._backlog)),
        )

    def _items(
        self, path: str, raws: list[Raw], decoder: Decoder[S], salvage: Callable[[str, Raw], S | None]
    ) -> Iterator[S]:
        """Yield what can be read of a list's items; give up after `MAX_UNREAD` that cannot."""
        for index, raw in enumerate(raws):
            if self.unread.causes.total() >= MAX_UNREAD:
                self.unread.add("given up", path, f"more than {MAX_UNREAD} errors", len(raws) - index)
                return
            try:
                yield decoder.decode(raw)
            except (ValueError, RecursionError):
                item = salvage(f"{path}[{index}]", raw)
                if item is not None:
                    yield item

    def _point(self, path: str, raw: Raw) -> PointFields | None:
        """Return a point that has an odd field; None where hash, parent or tags are odd, for they say which it is."""
        split = self._split(raw, _RAW_POINT, path, "point")
        if split is None:
            return None
        before = self.unread.causes.total()
        tags = self.field(split.edge_tags, TAGS, path, "EdgeTags")
        hash_ = self._whole(split.hash, path, "Hash")
        parent = self._whole(split.parent_hash, path, "ParentHash")
        if hash_ is None or parent is None or self.unread.causes.total() > before:
            return None
        timestamp_type = self.field(split.timestamp_type, TEXT, path, "TimestampType")
        return PointFields(
            hash_ & MAX_UINT64,  # a signed number of 64 bits has the same bits
            parent & MAX_UINT64,
            self.field(split.pathway_latency, _BYTES, path, "PathwayLatency", needed=True) or b"",
            self.field(split.edge_latency, _BYTES, path, "EdgeLatency", needed=True) or b"",
            self.field(split.payload_size, _BYTES, path, "PayloadSize") or b"",
            tags,
            timestamp_type or "",
        )

    def _backlog(self, path: str, raw: Raw) -> BacklogFields | None:
        split = self._split(raw, _RAW_BACKLOG, path, "backlog")
        if split is None:
            return None
        tags = self.field(split.tags, _BACKLOG_TAGS, path, "Tags", needed=True)
        value = self._whole(split.value, path, "Value")
        return BacklogFields(tags, value) if tags is not None and value is not None else None

    def _split(self, raw: Raw, decoder: Decoder[S], path: str, cause: str) -> S | None:
        try:
            return split_map(raw, decoder)
        except (ValueError, RecursionError) as error:
            self.unread.add(cause, path, str(error))
            return None

    def _whole(self, raw: Raw, path: str, name: str, least: int = -MAX_INT64 - 1) -> int | None:
        """Return a whole number. One that was written as a double is taken where a double holds it exactly."""
        value = self.field(raw, _NUMBER, path, name, needed=True)
        if value is None:
            return None
        if isinstance(value, float) and not (value.is_integer() and (abs(value) <= _EXACT or name == "Start")):
            self.unread.add(name, f"{path}.{name}", f"{value!r} is not a whole number")
        elif value < least:
            self.unread.add(name, f"{path}.{name}", f"{value} is below {least}")
        else:
            return int(value)
        return None
