"""Encodes buckets as payloads of `POST /v0.1/pipeline_stats`, and decodes payloads: MessagePack (protocol §6)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.msgpack import Decoder, Encoder

from asyncdsm._internal.pauses import yield_gil
from asyncdsm._version import __version__
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.edge import Edge
from asyncdsm.core.edge_facts import EdgeFacts, FactBatch
from asyncdsm.core.transactions import TransactionBatch
from asyncdsm.delivery.points import PointEncoder, UInt64
from asyncdsm.errors import PayloadError
from asyncdsm.settings import Settings


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


class WireSchema(Struct, rename="pascal", omit_defaults=True):
    """A schema of messages: its id in a registry, and its subject there if that is known."""

    id: UInt64
    subject: str = ""


class WireFacts(Struct, rename="pascal", omit_defaults=True):
    """What the messages of an edge said besides their latency (`core.edge_facts`). What is 0 or empty is left out."""

    edge_tags: list[str]
    redelivered: UInt64 = 0
    dead_lettered: UInt64 = 0
    waits: UInt64 = 0
    wait_ns: UInt64 = 0
    longest_wait_ns: UInt64 = 0
    schemas: list[WireSchema] = []


class WireBucket(Struct, rename="pascal", omit_defaults=True):
    """What passed from `start` (ns since the epoch) on, for `duration` ns."""

    start: UInt64
    duration: UInt64
    stats: list[WirePoint] | None = None
    backlogs: list[WireBacklog] | None = None
    transactions: bytes | None = None
    """The checkpoints of business transactions (`core.transactions`)."""
    transaction_checkpoint_ids: bytes | None = None
    """The names of their checkpoints."""
    asyncdsm_facts: list[WireFacts] | None = None
    """asyncdsm's own: no other tracer sends it, and other readers skip it."""


class _PackedBucket(Struct, rename="pascal", omit_defaults=True):
    """A `WireBucket` to send, whose points and backlogs are encoded already."""

    start: int
    duration: int
    stats: Raw
    backlogs: Raw | None = None
    transactions: bytearray | None = None
    transaction_checkpoint_ids: bytes | None = None
    asyncdsm_facts: Raw | None = None


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
_GZIP = 31  # the `wbits` of zlib with which it writes a header and a checksum as gzip does
_PLACE_OF_POINTS = os.urandom(16)


class Packed(NamedTuple):
    """An encoded bucket, and what was left out because it could not be encoded."""

    body: bytes
    """The gzipped payload."""
    lost: int
    """The number of checkpoints in the points that were left out."""
    errors: list[Exception]
    """The errors, one for each point and each offset that was left out."""


class Transactions(NamedTuple):
    """The checkpoints of business transactions in one bucket, and the encoded names of the checkpoints."""

    batch: TransactionBatch
    names: bytes


def pack(
    bucket: Bucket,
    bucket_ns: int,
    settings: Settings,
    pause: Callable[[], object] = yield_gil,
    *,
    transactions: Transactions | None = None,
    facts: FactBatch | None = None,
) -> Packed:
    """Encode one bucket, which is `bucket_ns` long, with its transactions and facts. Slow work, for a worker thread.

    A point, an offset or a fact that cannot be encoded is left out. `pause` is called now and then, to let other
    threads run.
    """
    encoder, chunks = PointEncoder(bucket), list[bytes]()
    while (chunk := encoder.encode_some()) is not None:
        chunks.append(chunk)
        pause()
    errors = encoder.errors
    backlogs = list(_encode_backlogs(bucket, errors))
    # The points are most of the payload, and are compressed as they are: put together, they would be copied.
    empty = _PackedBucket(
        bucket.start_ns, bucket_ns, Raw(_PLACE_OF_POINTS), _join_array(backlogs) if backlogs else None
    )
    if transactions is not None:
        empty.transactions, empty.transaction_checkpoint_ids = transactions.batch.records, transactions.names
    if facts is not None:
        empty.asyncdsm_facts = _join_array(list(_encode_facts(facts, errors)))
    before, after = _encoder.encode(_wire_payload(settings, [empty])).split(_PLACE_OF_POINTS)
    return Packed(_compress((before, _array_head(encoder.encoded), *chunks, after)), encoder.lost, errors)


def _encode_backlogs(bucket: Bucket, errors: list[Exception]) -> Iterator[bytes]:
    for tags, value in bucket.backlogs.items():
        try:
            yield _encoder.encode(WireBacklog(list(tags), value))
        except Exception as error:
            errors.append(error)


def _encode_facts(facts: FactBatch, errors: list[Exception]) -> Iterator[bytes]:
    for edge, found in facts.edges.items():
        try:
            yield _encoder.encode(_wire_facts(edge, found))
        except Exception as error:
            errors.append(error)


def _wire_facts(edge: Edge, facts: EdgeFacts) -> WireFacts:
    return WireFacts(
        list(edge.tags),
        facts.redelivered,
        facts.dead_lettered,
        facts.waits,
        facts.wait_ns,
        facts.longest_wait_ns,
        [WireSchema(number, subject) for number, subject in facts.schemas],
    )


def _compress(parts: Iterable[bytes]) -> bytes:
    """Return what gzip makes of the parts, one after the other."""
    gzip = zlib.compressobj(level=1, wbits=_GZIP)
    return b"".join((*map(gzip.compress, parts), gzip.flush()))


def _join_array(encoded: list[bytes]) -> Raw:
    """Return the MessagePack of a list whose elements are already encoded."""
    return Raw(b"".join((_array_head(len(encoded)), *encoded)))


def _array_head(length: int) -> bytes:
    return b"\xdd" + length.to_bytes(4, "big")


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
