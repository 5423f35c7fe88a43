"""Reads the fields of a payload so that a field that cannot be read costs nothing but itself.

Each level is decoded as a whole first, which is fast. If that fails, its fields are decoded one by one, and those that
cannot be read are counted in `UnreadFields` by their name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder
from msgspec.structs import fields as struct_fields

from asyncdsm.agent.intake.fields import (
    ABSENT,
    ANY_MAP,
    BACKLOG,
    BACKLOG_TAGS,
    BUCKET,
    BYTES,
    BYTES_OR_NONE,
    FACT_COUNT,
    FACTS,
    ITEMS,
    MAX_INT64,
    MAX_TAG_CHARACTERS,
    MAX_UINT64,
    NUMBER,
    ORIGIN,
    POINT,
    RAW_BACKLOG,
    RAW_BUCKET,
    RAW_FACTS,
    RAW_POINT,
    SCHEMAS,
    STRING,
    TAGS,
    UNKNOWN_START,
    USUAL_DURATION,
    BacklogFields,
    BucketFields,
    FactFields,
    PointFields,
    RawPoint,
)

MAX_UNREAD = 10_000
"""After how many errors in one payload the rest of a list is left out. Each error takes some time to find."""
# The largest number up to which a double holds every whole number exactly.
_MAX_EXACT = 1 << 53
S = TypeVar("S", bound=Struct)
T = TypeVar("T")


class UnreadFields:
    """What was left out of one payload because it could not be read: how often by cause, and the first of them."""

    def __init__(self) -> None:
        self.causes: Counter[str] = Counter()
        self.first: str = ""

    def add(self, cause: str, path: str, problem: str, count: int = 1) -> None:
        """Count something that is left out. `path` and `problem` are for the log: where it is, and what is wrong."""
        self.causes[cause] += count
        self.first = self.first or f"{path}: {problem}"


def split_map(data: bytes | Raw, decoder: Decoder[S]) -> S:
    """Decode a map, but not its fields. Raises ValueError or RecursionError if it is no map."""
    try:
        return decoder.decode(data)
    except ValueError as error:
        try:
            items = ANY_MAP.decode(data)  # its keys need not be strings
        except ValueError:
            raise error from None
        struct: Any = decoder.type
        names = {field.encode_name: field.name for field in struct_fields(struct)}
        known = {names[key]: value for key, value in items.items() if key in names}
        fields: S = struct(**known)
        return fields


class FieldReader:
    """Reads fields, and counts in `unread` those that cannot be read."""

    def __init__(self, unread: UnreadFields) -> None:
        self.unread: UnreadFields = unread
        self.left_out: list[bytes] = []
        """The sketch `PathwayLatency` of each point that is left out: it says how many messages the point has."""

    def read_field(self, raw: Raw, decoder: Decoder[T], path: str, name: str, *, needed: bool = False) -> T | None:
        """Return the value of a field, or None if it is absent or unreadable.

        A `needed` field counts as unreadable if it is absent or null.
        """
        try:
            value = decoder.decode(raw) if raw is not ABSENT else None
        except (ValueError, RecursionError) as error:
            self.unread.add(name, f"{path}.{name}", str(error))
            return None
        if needed and value is None:
            self.unread.add(name, f"{path}.{name}", "is missing")
        return value

    def check_length(self, tags: Sequence[str], path: str, name: str) -> bool:
        """Return whether tags have at most `MAX_TAG_CHARACTERS` together. Longer ones count as unreadable."""
        characters = sum(map(len, tags))
        if characters <= MAX_TAG_CHARACTERS:
            return True
        problem = f"must have at most {MAX_TAG_CHARACTERS} characters together, got {characters}"
        self.unread.add(name, f"{path}.{name}", problem)
        return False

    def read_bucket(self, path: str, raw: Raw) -> BucketFields | None:
        """Return what can be read of a bucket, or None if it is no map."""
        try:
            return BUCKET.decode(raw)
        except (ValueError, RecursionError):
            pass  # something in it cannot be read
        split = self._split_fields(raw, RAW_BUCKET, path, "bucket")
        if split is None:
            return None
        points = self.read_field(split.stats, ITEMS, path, "Stats") or []
        backlogs = self.read_field(split.backlogs, ITEMS, path, "Backlogs") or []
        facts = self.read_field(split.asyncdsm_facts, ITEMS, path, "AsyncdsmFacts") or []
        start = self._read_whole(split.start, path, "Start", least=0)
        duration = self._read_whole(split.duration, path, "Duration", least=0)
        return BucketFields(
            UNKNOWN_START if start is None else start,
            USUAL_DURATION if duration is None else duration,
            list(self._read_items(f"{path}.Stats", points, POINT, self._read_point_fields)),
            list(self._read_items(f"{path}.Backlogs", backlogs, BACKLOG, self._read_backlog_fields)),
            self.read_field(split.transactions, BYTES_OR_NONE, path, "Transactions"),
            self.read_field(split.transaction_checkpoint_ids, BYTES_OR_NONE, path, "TransactionCheckpointIds"),
            list(self._read_items(f"{path}.AsyncdsmFacts", facts, FACTS, self._read_fact_fields)),
        )

    def _read_items(
        self, path: str, raws: list[Raw], decoder: Decoder[S], salvage: Callable[[str, Raw], S | None]
    ) -> Iterator[S]:
        """Yield the items of a list that can be read. After `MAX_UNREAD` errors, the rest of the list is left out."""
        for index, raw in enumerate(raws):
            if self.unread.causes.total() >= MAX_UNREAD:
                self.unread.add("given up", path, f"comes after more than {MAX_UNREAD} errors", len(raws) - index)
                return
            try:
                yield decoder.decode(raw)
            except (ValueError, RecursionError):
                item = salvage(f"{path}[{index}]", raw)
                if item is not None:
                    yield item

    def _read_point_fields(self, path: str, raw: Raw) -> PointFields | None:
        """Return what can be read of a point, or None without hash, parent or tags, which say which point it is."""
        split = self._split_fields(raw, RAW_POINT, path, "point")
        if split is None:
            return None
        before = self.unread.causes.total()
        tags = self.read_field(split.edge_tags, TAGS, path, "EdgeTags")
        hash_ = self._read_whole(split.hash, path, "Hash")
        parent = self._read_whole(split.parent_hash, path, "ParentHash")
        if hash_ is None or parent is None or self.unread.causes.total() > before:
            self._leave_out(split)
            return None
        timestamp_type = self.read_field(split.timestamp_type, STRING, path, "TimestampType")
        return PointFields(
            hash_ & MAX_UINT64,  # some tracers write it as a signed number with the same bits
            parent & MAX_UINT64,
            self.read_field(split.pathway_latency, BYTES, path, "PathwayLatency", needed=True) or b"",
            self.read_field(split.edge_latency, BYTES, path, "EdgeLatency", needed=True) or b"",
            self.read_field(split.payload_size, BYTES, path, "PayloadSize") or b"",
            tags,
            timestamp_type or "",
        )

    def _leave_out(self, split: RawPoint) -> None:
        """Keep the sketch of a point that is left out, if there is one, and no other point has the same messages."""
        with suppress(ValueError, RecursionError):
            if split.timestamp_type is ABSENT or STRING.decode(split.timestamp_type) != ORIGIN:
                self.left_out.append(BYTES.decode(split.pathway_latency))

    def _read_backlog_fields(self, path: str, raw: Raw) -> BacklogFields | None:
        split = self._split_fields(raw, RAW_BACKLOG, path, "backlog")
        if split is None:
            return None
        tags = self.read_field(split.tags, BACKLOG_TAGS, path, "Tags", needed=True)
        value = self._read_whole(split.value, path, "Value")
        return BacklogFields(tags, value) if tags is not None and value is not None else None

    def _read_fact_fields(self, path: str, raw: Raw) -> FactFields | None:
        """Return what can be read of an edge's facts, or None without tags, which say whose facts they are."""
        split = self._split_fields(raw, RAW_FACTS, path, "facts")
        if split is None:
            return None
        tags = self.read_field(split.edge_tags, BACKLOG_TAGS, path, "EdgeTags", needed=True)
        if tags is None:
            return None
        return FactFields(
            tags,
            self.read_field(split.redelivered, FACT_COUNT, path, "Redelivered") or 0,
            self.read_field(split.dead_lettered, FACT_COUNT, path, "DeadLettered") or 0,
            self.read_field(split.waits, FACT_COUNT, path, "Waits") or 0,
            self.read_field(split.wait_ns, FACT_COUNT, path, "WaitNs") or 0,
            self.read_field(split.longest_wait_ns, FACT_COUNT, path, "LongestWaitNs") or 0,
            self.read_field(split.schemas, SCHEMAS, path, "Schemas") or [],
        )

    def _split_fields(self, raw: Raw, decoder: Decoder[S], path: str, cause: str) -> S | None:
        try:
            return split_map(raw, decoder)
        except (ValueError, RecursionError) as error:
            self.unread.add(cause, path, str(error))
            return None

    def _read_whole(self, raw: Raw, path: str, name: str, least: int = -MAX_INT64 - 1) -> int | None:
        """Return a whole number, or None. It may be written as a double, if a double holds it exactly."""
        value = self.read_field(raw, NUMBER, path, name, needed=True)
        if value is None:
            return None
        if isinstance(value, float) and not (value.is_integer() and (abs(value) <= _MAX_EXACT or name == "Start")):
            self.unread.add(name, f"{path}.{name}", f"must be a whole number, got {value!r}")
        elif value < least:
            self.unread.add(name, f"{path}.{name}", f"must be at least {least}, got {value}")
        else:
            return int(value)
        return None
