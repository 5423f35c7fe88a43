"""Whatever encoding a payload or a sketch has, the agent reads the same from it."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from msgspec.msgpack import encode as to_msgpack

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.histograms import PATHWAY, SIZE
from asyncdsm.core.histogram import GAMMA, OFFSET
from asyncdsm.delivery.sketch import encode
from tests.agent.encodings import ENCODINGS, HASH, PARENT, QUARTER, START
from tests.agent.payloads import Client, bins_of, sketch


@pytest.mark.parametrize("lang", ENCODINGS)
@pytest.mark.parametrize("packed", [False, True])
async def test_every_encoding_of_a_payload_is_accepted(client: Client, lang: str, packed: bool) -> None:
    body = ENCODINGS[lang]
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


@pytest.mark.parametrize("lang", ENCODINGS)
def test_every_encoding_of_a_payload_has_the_same_counts(lang: str) -> None:
    report = read_report(ENCODINGS[lang], "")
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
