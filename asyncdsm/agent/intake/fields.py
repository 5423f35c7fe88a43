"""The fields of a payload (`POST /v0.1/pipeline_stats`), their limits, and decoders for them.

There are two decoders for each level: one that decodes all fields, which is fast, and one that leaves each field as it
is (`Raw`), so that `field_reader` can read the good fields of a level that has a bad one.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Raw, Struct
from msgspec.msgpack import Decoder

MAX_BUCKETS = 20_000
"""How many buckets a payload may have: two days of buckets of ten seconds."""
MAX_ITEMS = 100_000
"""How many points, or backlogs, a bucket may have. asyncdsm itself sends at most 10,000 points."""
MAX_TAGS = 64
MAX_SCHEMAS = 100
"""How many schemas of an edge a bucket may have. asyncdsm itself sends at most 20."""
MAX_NAME = 1024
"""How many characters a service, an env or a tag (`topic:orders`) may have. Kafka's topics have at most 249."""
MAX_TAG_CHARACTERS = 4096
"""How many characters all tags of a point, a backlog or a process may have. A Kafka edge has some hundred."""
MAX_UINT64, MAX_INT64 = (1 << 64) - 1, (1 << 63) - 1
UNKNOWN_START = MAX_INT64
"""The start of a bucket without a readable start. The store counts it as a bucket of now."""
USUAL_DURATION = 10_000_000_000
"""Nanoseconds."""
ORIGIN = "origin"
"""The type of points that count by when the pathway began. They count the same messages as the points `current`."""

UInt64 = Annotated[int, Meta(ge=0)]  # MessagePack has no numbers above 64 bits
UInt63 = Annotated[int, Meta(ge=0, le=MAX_INT64)]
Name = Annotated[str, Meta(max_length=MAX_NAME)]
Tags = Annotated[list[Annotated[str, Meta(max_length=MAX_NAME)]], Meta(max_length=MAX_TAGS)]
_RawBuckets: TypeAlias = Annotated[list[Raw], Meta(max_length=MAX_BUCKETS)] | None
_RawItems: TypeAlias = Annotated[list[Raw], Meta(max_length=MAX_ITEMS)] | None
ABSENT = Raw()


class PointFields(Struct, rename="pascal"):
    """One pathway at one edge. Its sketches are DDSketch protobufs, the latencies in seconds, the size in bytes."""

    hash: UInt64
    parent_hash: UInt64
    pathway_latency: bytes
    edge_latency: bytes
    payload_size: bytes = b""
    edge_tags: Tags | None = None
    timestamp_type: str = ""


class BacklogFields(Struct, rename="pascal"):
    """The highest offset of the backlog with these tags."""

    tags: Tags
    value: int


class SchemaFields(Struct, rename="pascal"):
    """A schema of messages: its id in a registry, and its subject there, empty if that is not known."""

    id: UInt63
    subject: Name = ""


Schemas = Annotated[list[SchemaFields], Meta(max_length=MAX_SCHEMAS)]


class FactFields(Struct, rename="pascal"):
    """How many messages of an edge were redelivered, were dead-lettered, or waited in a batch, and their schemas."""

    edge_tags: Tags
    redelivered: UInt63 = 0
    dead_lettered: UInt63 = 0
    waits: UInt63 = 0
    wait_ns: UInt63 = 0
    longest_wait_ns: UInt63 = 0
    schemas: Schemas = []


class BucketFields(Struct, rename="pascal"):
    """What a service counted from `start` on, for `duration`, both in nanoseconds (since the epoch)."""

    start: UInt64
    duration: UInt64
    stats: Annotated[list[PointFields], Meta(max_length=MAX_ITEMS)] | None = None
    backlogs: Annotated[list[BacklogFields], Meta(max_length=MAX_ITEMS)] | None = None
    transactions: bytes | None = None
    transaction_checkpoint_ids: bytes | None = None
    asyncdsm_facts: Annotated[list[FactFields], Meta(max_length=MAX_ITEMS)] | None = None


class RawPayload(Struct, rename="pascal"):
    """The fields of a payload that the agent uses, not decoded yet."""

    service: Raw = ABSENT
    env: Raw = ABSENT
    version: Raw = ABSENT
    lang: Raw = ABSENT
    hostname: Raw = ABSENT
    process_tags: Raw = ABSENT
    stats: Raw = ABSENT


class RawBucket(Struct, rename="pascal"):
    """The fields of a bucket, not decoded yet."""

    start: Raw = ABSENT
    duration: Raw = ABSENT
    stats: Raw = ABSENT
    backlogs: Raw = ABSENT
    transactions: Raw = ABSENT
    transaction_checkpoint_ids: Raw = ABSENT
    asyncdsm_facts: Raw = ABSENT


class RawPoint(Struct, rename="pascal"):
    """The fields of a point, not decoded yet."""

    hash: Raw = ABSENT
    parent_hash: Raw = ABSENT
    pathway_latency: Raw = ABSENT
    edge_latency: Raw = ABSENT
    payload_size: Raw = ABSENT
    edge_tags: Raw = ABSENT
    timestamp_type: Raw = ABSENT


class RawFacts(Struct, rename="pascal"):
    """The fields of an edge's facts, not decoded yet."""

    edge_tags: Raw = ABSENT
    redelivered: Raw = ABSENT
    dead_lettered: Raw = ABSENT
    waits: Raw = ABSENT
    wait_ns: Raw = ABSENT
    longest_wait_ns: Raw = ABSENT
    schemas: Raw = ABSENT


class RawBacklog(Struct, rename="pascal"):
    """The fields of a backlog, not decoded yet."""

    tags: Raw = ABSENT
    value: Raw = ABSENT


STRING: Decoder[str | None] = Decoder(str | None)
TAGS: Decoder[Any] = Decoder(Tags | None)
BACKLOG_TAGS: Decoder[list[str]] = Decoder(Tags)
NUMBER: Decoder[int | float] = Decoder(int | float)
BYTES: Decoder[bytes] = Decoder(bytes)
BYTES_OR_NONE: Decoder[bytes | None] = Decoder(bytes | None)
ANY_MAP: Decoder[dict[Any, Raw]] = Decoder(dict[Any, Raw])
BUCKET: Decoder[BucketFields] = Decoder(BucketFields)
POINT: Decoder[PointFields] = Decoder(PointFields)
BACKLOG: Decoder[BacklogFields] = Decoder(BacklogFields)
FACTS: Decoder[FactFields] = Decoder(FactFields)
FACT_COUNT: Decoder[int] = Decoder(UInt63)
SCHEMAS: Decoder[list[SchemaFields]] = Decoder(Schemas)
RAW_FACTS: Decoder[RawFacts] = Decoder(RawFacts)
RAW_BUCKET: Decoder[RawBucket] = Decoder(RawBucket)
RAW_POINT: Decoder[RawPoint] = Decoder(RawPoint)
RAW_BACKLOG: Decoder[RawBacklog] = Decoder(RawBacklog)
RAW_PAYLOAD: Decoder[RawPayload] = Decoder(RawPayload)
BUCKETS: Decoder[list[Raw] | None] = Decoder(_RawBuckets)
ITEMS: Decoder[list[Raw] | None] = Decoder(_RawItems)
