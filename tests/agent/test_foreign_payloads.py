"""Payloads as the tracers of other languages write them (protocol §6), and those of a real ddtrace."""

from __future__ import annotations

import gzip
import struct
from typing import Any

import pytest
from anyio import to_thread
from msgspec.msgpack import encode as to_msgpack

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.histograms import PATHWAY, SIZE
from asyncdsm.core.histogram import GAMMA, OFFSET, bin_index
from asyncdsm.delivery.sketch import encode
from tests.agent.payloads import NOW_NS, SECOND_NS, Client, bins_of, sketch
from tests.differential.process import run

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


def java() -> bytes:
    """Numbers in nine bytes, sketches in sparse bins, a product mask, a timestamp type, transactions, backlogs."""
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
        ("Transactions", bin32(bytes(32))),
        ("TransactionCheckpointIds", bin32(b"\x01\x03abc")),
    )
    return mapping(
        ("Env", to_msgpack("prod")),
        ("Service", to_msgpack("foreign")),
        ("Lang", to_msgpack("java")),
        ("PrimaryTag", to_msgpack(None)),
        ("TracerVersion", to_msgpack("1.52.0")),
        ("Version", to_msgpack(None)),
        ("Stats", listing(bucket)),
        ("ProductMask", b"\xcf" + struct.pack(">Q", 2)),
        ("ProcessTags", to_msgpack(["entrypoint.name:main"])),
    )


def go() -> bytes:
    """Every field of its structs, the empty ones too; a mapping that says its interpolation."""
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
            "Lang": "go",
            "Version": "",
            "ProcessTags": None,
        }
    )


def js() -> bytes:
    """Sketches of its own library: the store in its own order, doubles for numbers that are whole."""
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
    return to_msgpack({**fields, "Lang": "javascript", "Tags": {"a": "b"}})


def dotnet() -> bytes:
    """The same points in buckets of their own, once by the current time and once by the origin's."""
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


TRACERS = {"java": java(), "go": go(), "javascript": js(), "dotnet": dotnet()}


@pytest.mark.parametrize("lang", TRACERS)
@pytest.mark.parametrize("packed", [False, True])
async def test_payloads_of_other_tracers_are_accepted(client: Client, lang: str, packed: bool) -> None:
    body = TRACERS[lang]
    answer = await client.report(gzip.compress(body) if packed else body, gzipped=packed)
    assert answer.status_code == 202, answer.text
    shown = await client.topology()
    (edge,) = shown["edges"]
    assert (edge["service"], edge["env"], edge["queue"], edge["group"]) == ("foreign", "prod", "orders", "g")
    assert edge["count"] == 3
    for figures, value in (("edge_latency", 0.25), ("pathway_latency", 0.5), ("payload_size", 512)):
        assert edge[figures]["max"] == pytest.approx(value, rel=0.008)
    (pathway,) = shown["pathways"]
    assert (pathway["hash"], pathway["parent"]) == (str(HASH), str(PARENT))


@pytest.mark.parametrize("lang", TRACERS)
def test_payloads_of_other_tracers_name_service_and_language(lang: str) -> None:
    report = read_report(TRACERS[lang], "")
    assert report.lang == lang
    assert sum(bins_of(report).values()) == sum(bins_of(report, PATHWAY).values()) == 3
    assert sum(bins_of(report, SIZE).values()) == 3


WRITTEN = {
    "ours": encode({QUARTER: 4}),
    "sparse": sketch(binCounts={QUARTER: 4}),
    "both": sketch(binCounts={QUARTER: 1}, contiguousBinCounts=[3], contiguousBinIndexOffset=QUARTER),
    "empty bins at the ends": sketch(contiguousBinCounts=[0, 4, 0], contiguousBinIndexOffset=QUARTER - 1),
    "its zeros said to be none": encode({QUARTER: 4}) + b"\x21" + bytes(8),
    "no store of negative values": encode({QUARTER: 4}).replace(b"\x1a\x00", b""),
    "the mapping at the end": encode({QUARTER: 4})[20:] + encode({})[:20],
    "an unknown field": encode({QUARTER: 4}) + b"\x7a\x01x",
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_every_encoding_of_a_sketch_has_the_same_counts(written: bytes) -> None:
    body = {"Stats": [{"Start": START, "Duration": 1, "Stats": [{"Hash": 1, "ParentHash": 0}]}], "Service": "s"}
    stats: Any = body["Stats"]
    stats[0]["Stats"][0] |= {"EdgeLatency": written, "PathwayLatency": encode({QUARTER: 1}), "PayloadSize": b""}
    assert bins_of(read_report(to_msgpack(body), "")) == {QUARTER: 4}


def test_sketch_of_the_tests_begins_with_the_mapping_of_asyncdsm() -> None:
    assert sketch(gamma=GAMMA, offset=OFFSET)[:20] == encode({})[:20]


async def test_real_ddtrace_payload_is_accepted() -> None:
    async with running_agent() as agent, Client(base_url=agent.url, timeout=30) as client:
        await to_thread.run_sync(
            lambda: run("sender.py", DD_DATA_STREAMS_ENABLED="true", DD_SERVICE="theirs", DD_TRACE_AGENT_URL=agent.url)
        )
        shown = await client.topology()
        assert [service["name"] for service in shown["services"]] == ["theirs"]
        assert [(edge["direction"], edge["queue"], edge["count"]) for edge in shown["edges"]] == [
            ("in", "orders", 1),
            ("out", "orders", 1),
        ]
        (pathway,) = (await client.get("/api/pathways", params={"service": "theirs"})).json()["pathways"]
        assert [hop["direction"] for hop in pathway["hops"]] == ["out", "in"]
