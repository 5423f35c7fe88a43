"""Payloads in encodings that MessagePack and the protocol allow, and of which asyncdsm itself writes none."""

from __future__ import annotations

import struct
from typing import Any

from msgspec.msgpack import encode as to_msgpack

from asyncdsm.core.histogram import bin_index
from asyncdsm.delivery.sketch import encode
from tests.agent.payloads import NOW_NS, SECOND_NS, sketch

START = NOW_NS - 20 * SECOND_NS
QUARTER, HALF, LARGE = bin_index(0.25), bin_index(0.5), bin_index(512)
IN = ["direction:in", "group:g", "topic:orders", "type:kafka"]
HASH, PARENT = 2**64 - 1, 2**63 + 5


def bin32(data: bytes) -> bytes:
    """Write a binary with four bytes of length, however short it is, as some writers do."""
    return b"\xc6" + struct.pack(">I", len(data)) + data


def mapping(*items: tuple[str, bytes]) -> bytes:
    """Write a map of values that are written already."""
    return b"\xde" + struct.pack(">H", len(items)) + b"".join(to_msgpack(name) + value for name, value in items)


def listing(*items: bytes) -> bytes:
    return b"\xdd" + struct.pack(">I", len(items)) + b"".join(items)


def point(pathway: bytes, edge: bytes, size: bytes, *more: tuple[str, bytes], tags: list[str] = IN) -> bytes:
    return mapping(
        ("PathwayLatency", pathway),
        ("EdgeLatency", edge),
        ("PayloadSize", size),
        ("Hash", b"\xcf" + struct.pack(">Q", HASH)),
        ("ParentHash", b"\xcf" + struct.pack(">Q", PARENT)),
        ("EdgeTags", to_msgpack(tags)),
        *more,
    )


def wide() -> bytes:
    """As in Java: numbers in nine bytes, lengths in four, sparse bins, transactions, each point twice."""
    edge, pathway = (bin32(sketch(binCounts={bin_: 3.0})) for bin_ in (QUARTER, HALF))
    bucket = mapping(
        ("Start", b"\xd3" + struct.pack(">q", START)),
        ("Duration", b"\xd3" + struct.pack(">q", 10 * SECOND_NS)),
        (
            "Stats",
            listing(
                point(pathway, edge, bin32(sketch(binCounts={LARGE: 3.0})), ("TimestampType", to_msgpack("current"))),
                point(pathway, edge, bin32(sketch()), ("TimestampType", to_msgpack("origin"))),
            ),
        ),
        (
            "Backlogs",
            listing(mapping(("Tags", to_msgpack(["type:kafka_produce", "topic:orders"])), ("Value", b"\x07"))),
        ),
        ("Transactions", bin32(b"\x01" + struct.pack(">q", START) + b"\x044711")),
        ("TransactionCheckpointIds", bin32(b"\x01\x03abc")),
    )
    return mapping(
        ("Env", to_msgpack("prod")),
        ("Service", to_msgpack("foreign")),
        ("Lang", to_msgpack("wide")),
        ("PrimaryTag", to_msgpack(None)),
        ("TracerVersion", to_msgpack("1.52.0")),
        ("Version", to_msgpack(None)),
        ("Stats", listing(bucket)),
        ("ProductMask", b"\xcf" + struct.pack(">Q", 2)),
        ("ProcessTags", to_msgpack(["entrypoint.name:main"])),
    )


def empty_fields() -> bytes:
    """As in Go: every field, the empty ones too, and empty bins at the end of a run."""
    contiguous: dict[str, Any] = {"contiguousBinCounts": [3.0, 0, 0]}
    edge, pathway, size = (sketch(**contiguous, contiguousBinIndexOffset=bin_) for bin_ in (QUARTER, HALF, LARGE))
    stats = {
        "EdgeTags": IN,
        "EdgeLatency": edge,
        "Hash": HASH,
        "ParentHash": PARENT,
        "PathwayLatency": pathway,
        "PayloadSize": size,
        "TimestampType": "current",
        "Service": "",
        "SpanTags": None,
    }
    bucket = {
        "Start": START,
        "Duration": 10 * SECOND_NS,
        "Stats": [stats, {**stats, "TimestampType": "origin"}],
        "Backlogs": [{"Tags": ["type:kafka_high_watermark", "topic:orders", "partition:0"], "Value": 7}],
    }
    return to_msgpack(
        {
            "Env": "prod",
            "Service": "foreign",
            "Stats": [bucket],
            "TracerVersion": "v2.1.0",
            "Lang": "empty fields",
            "Version": "",
            "ProcessTags": None,
        }
    )


def additional_fields() -> bytes:
    """As in JavaScript: fields that the protocol does not have, and a version that is null."""
    edge, pathway, size = (
        sketch(contiguousBinCounts=[1.0, 2.0], contiguousBinIndexOffset=bin_ - 1) for bin_ in (QUARTER, HALF, LARGE)
    )
    stats = {
        "Hash": HASH,
        "ParentHash": PARENT,
        "EdgeTags": IN,
        "EdgeLatency": edge,
        "PathwayLatency": pathway,
        "PayloadSize": size,
    }
    bucket = {"Start": START, "Duration": 10 * SECOND_NS, "Stats": [stats], "Backlogs": []}
    fields = {"Env": "prod", "Service": "foreign", "Stats": [bucket], "TracerVersion": "5.60.0", "Version": None}
    return to_msgpack({**fields, "Lang": "additional fields", "Tags": {"a": "b"}})


def dotnet() -> bytes:
    """Buckets that differ in what their points are timed by. Written from its sources: no .NET runs in these tests."""
    edge, pathway, size = (bin32(encode({bin_: 3.0})) for bin_ in (QUARTER, HALF, LARGE))

    def bucket(type_: str) -> bytes:
        stats = point(pathway, edge, size, ("TimestampType", to_msgpack(type_)))
        start, duration = (b"\xd3" + struct.pack(">q", number) for number in (START, 10 * SECOND_NS))
        return mapping(("Start", start), ("Duration", duration), ("Stats", listing(stats)))

    return mapping(
        ("Env", to_msgpack("prod")),
        ("Service", to_msgpack("foreign")),
        ("Lang", to_msgpack("dotnet")),
        ("TracerVersion", to_msgpack("3.20.0.0")),
        ("Stats", listing(bucket("current"), bucket("origin"))),
        ("ProductMask", b"\x03"),
        ("IsInDefaultState", to_msgpack(True)),
    )


ENCODINGS = {
    "wide": wide(),
    "empty fields": empty_fields(),
    "additional fields": additional_fields(),
    "dotnet": dotnet(),
}
"""By what they give as their language."""
