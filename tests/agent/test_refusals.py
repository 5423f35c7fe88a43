"""What is not taken: each with its status, the path of what is wrong, and what is wrong with it."""

from __future__ import annotations

import gzip
from math import inf, nan
from typing import Any

import pytest
from msgspec.msgpack import encode as to_msgpack

from asyncdsm.agent.intake import IntakeError, read_report
from asyncdsm.bins import GAMMA, OFFSET
from tests.agent.payloads import INTAKE, MSGPACK, Client, bins_of, bucket, payload, point, sketch

EDGE = "$.Stats[0].Stats[0].EdgeLatency"


def with_edge(data: bytes) -> bytes:
    return payload(bucket(point(EdgeLatency=data)))


def with_bins(**fields: Any) -> bytes:
    return with_edge(sketch(**fields))


FIELDS: dict[str, tuple[bytes, str, str]] = {
    "no service": (to_msgpack({"Stats": []}), "$", "missing required field `Service`"),
    "service is a number": (payload(Service=5), "$.Service", "Expected `str`, got `int`"),
    "stats are a text": (payload(Stats="x"), "$.Stats", "Expected `array | null`, got `str`"),
    "a bucket is a list": (payload(Stats=[[]]), "$.Stats[0]", "Expected `object`, got `array`"),
    "a tag is a number": (
        payload(bucket(), bucket(point(), point(EdgeTags=["a:b", 1]))),
        "$.Stats[1].Stats[1].EdgeTags[1]",
        "Expected `str`, got `int`",
    ),
    "no hash": (payload(bucket(point("Hash"))), "$.Stats[0].Stats[0]", "missing required field `Hash`"),
    "hash below 0": (payload(bucket(point(Hash=-1))), "$.Stats[0].Stats[0].Hash", "Expected `int` >= 0"),
    "hash is a text": (payload(bucket(point(Hash="7"))), "$.Stats[0].Stats[0].Hash", "Expected `int`, got `str`"),
    "parent below 0": (payload(bucket(point(ParentHash=-7))), "$.Stats[0].Stats[0].ParentHash", "Expected `int` >= 0"),
    "duration 0": (payload(bucket(Duration=0)), "$.Stats[0].Duration", "must be above 0"),
    "duration 2 hours": (payload(bucket(Duration=2 * 3600 * 10**9)), "$.Stats[0].Duration", "at most an hour"),
    "start 2^64-1": (payload(bucket(Start=2**64 - 1)), "$.Stats[0].Start", "18446744073709551615 is not a time"),
    "start below 0": (payload(bucket(Start=-1)), "$.Stats[0].Start", "Expected `int` >= 0"),
    "65 tags": (
        payload(bucket(point(EdgeTags=[f"tag:{index}" for index in range(65)]))),
        "$.Stats[0].Stats[0].EdgeTags",
        "65 tags; at most 64",
    ),
    "65 tags of a backlog": (
        payload(bucket(Backlogs=[{"Tags": ["a:b"] * 65, "Value": 1}])),
        "$.Stats[0].Backlogs[0].Tags",
        "65 tags; at most 64",
    ),
    "backlog without value": (
        payload(bucket(Backlogs=[{"Tags": []}])),
        "$.Stats[0].Backlogs[0]",
        "missing required field `Value`",
    ),
    "not text": (payload(Service="@").replace(b"\xa1@", b"\xa1\xff"), "$", "'utf-8' codec can't decode"),
    "a surrogate": (payload(Service="@@@").replace(b"@@@", b"\xed\xa0\x80"), "$", "'utf-8' codec can't decode"),
    "nothing": (b"", "$", "Input data was truncated"),
    "not msgpack": (b"\xc1", "$", "invalid opcode"),
    "json": (b'{"Service": "x"}', "$", "Expected `object`, got `int`"),
    "more behind the end": (payload() + b"\x00", "$", "trailing characters"),
    "cut off": (payload()[:-1], "$", "Input data was truncated"),
    "says it is a list of 4 billion": (b"\x81\xa5Stats\xdd\xff\xff\xff\xff", "$", "Input data was truncated"),
    "a deep nest in an unknown field": (b"\x81\xa1x" + b"\x91" * 1_000_000, "$", "recursion"),
    "a deep nest in a known field": (b"\x81\xa5Stats" + b"\x91" * 1_000_000, "$.Stats[0]", "Expected `object`"),
}

SKETCHES: dict[str, tuple[bytes, str]] = {
    "garbage": (with_edge(b"\xff\xff"), "not a DDSketch protobuf"),
    "cut off": (with_edge(sketch(binCounts={1: 1})[:-3]), "not a DDSketch protobuf"),
    "a count below 0": (with_bins(contiguousBinCounts=[1, -1]), "the count of bin 1 is -1.0"),
    "a sparse count below 0": (with_bins(binCounts={9: -2}), "the count of bin 9 is -2.0"),
    "nan": (with_bins(contiguousBinCounts=[nan]), "the count of bin 0 is nan"),
    "infinitely many": (with_bins(binCounts={9: inf}), "the count of bin 9 is inf"),
    "nan zeros": (with_bins(zeros=nan), "is nan"),
    "zeros below 0": (with_bins(zeros=-1), "is -1.0"),
    "more than can be": (with_bins(binCounts={9: 1e300}), "the count of bin 9 is 1e+300"),
    "negative values": (with_bins(negative={1: 1}), "negative values"),
    "a huge bin": (with_bins(binCounts={2**31 - 1: 1}), "bin 2147483647 is outside of"),
    "a huge negative bin": (with_bins(binCounts={-(2**31): 1}), "bin -2147483648 is outside of"),
    "a huge offset of bins": (with_bins(contiguousBinCounts=[1], contiguousBinIndexOffset=2**31 - 1), "outside of"),
    "ours for zero, as a bin": (with_bins(binCounts={-(1 << 20): 1}), "bin -1048576 is outside of"),
    "a million bins, all empty": (with_bins(contiguousBinCounts=[0] * 1_000_000), "1000000 bins in a row"),
    "gamma 1": (with_bins(gamma=1, binCounts={1: 1}), "mapping with gamma 1.0"),
    "gamma 0": (with_bins(gamma=0, binCounts={1: 1}), "mapping with gamma 0.0"),
    "gamma nan": (with_bins(gamma=nan, binCounts={1: 1}), "mapping with gamma nan"),
    "offset nan": (with_bins(offset=nan, binCounts={1: 1}), "offset nan"),
    "offset -inf": (with_bins(offset=-inf, binCounts={1: 1}), "offset -inf"),
    "another interpolation": (with_bins(interpolation=3, binCounts={1: 1}), "interpolation 3"),
    "a number too large": (with_bins(gamma=1.9, offset=0, binCounts={1500: 1}), "number that is too large"),
    "the largest number": (with_bins(gamma=1.001, offset=-669_900, binCounts={40_190: 1}), "number that is too large"),
}


@pytest.mark.parametrize(("body", "path", "problem"), FIELDS.values(), ids=FIELDS.keys())
def test_fields(body: bytes, path: str, problem: str) -> None:
    with pytest.raises(IntakeError) as caught:
        read_report(body, "")
    assert (caught.value.status, caught.value.path) == (400, path)
    assert problem in caught.value.problem


@pytest.mark.parametrize(("body", "problem"), SKETCHES.values(), ids=SKETCHES.keys())
def test_sketches(body: bytes, problem: str) -> None:
    with pytest.raises(IntakeError) as caught:
        read_report(body, "")
    assert (caught.value.status, caught.value.path) == (400, EDGE)
    assert problem in caught.value.problem


def test_the_sketch_that_is_wrong_is_named() -> None:
    for name in ("PathwayLatency", "PayloadSize"):
        with pytest.raises(IntakeError) as caught:
            read_report(payload(bucket(), bucket(point(), point(**{name: b"\xff"}))), "")
        assert caught.value.path == f"$.Stats[1].Stats[1].{name}"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"not gzip", "not gzip"),
        (gzip.compress(payload())[:-4], "ends too early"),
        (gzip.compress(payload())[:20], "ends too early"),
        (gzip.compress(payload()) + b"more", "not gzip"),
        (gzip.compress(payload())[:-8] + bytes(8), "not gzip"),
    ],
)
def test_gzip(body: bytes, problem: str) -> None:
    with pytest.raises(IntakeError, match=problem) as caught:
        read_report(body, "gzip")
    assert (caught.value.status, caught.value.path) == (400, "body")


def test_gzip_in_several_members() -> None:
    body = payload(bucket(point()))
    assert len(read_report(gzip.compress(body[:50]) + gzip.compress(body[50:]), "gzip").buckets) == 1


async def test_answers(client: Client) -> None:
    for body, path, problem in [*FIELDS.values(), *((body, EDGE, problem) for body, problem in SKETCHES.values())]:
        response = await client.report(body)
        error = response.json()["error"]
        assert (response.status_code, error["path"]) == (400, path)
        assert problem in error["problem"]
    assert (await client.topology())["services"] == []
    assert (await client.get("/api/health")).json()["payloads"] == 0
    assert (await client.report(payload(bucket(point())))).status_code == 202


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({**MSGPACK, "Content-Encoding": "br"}, "Content-Encoding"),
        ({**MSGPACK, "Content-Encoding": "gzip, gzip"}, "Content-Encoding"),
        ({"Content-Type": "application/json"}, "Content-Type"),
        ({}, "Content-Type"),
    ],
)
async def test_headers(client: Client, headers: dict[str, str], path: str) -> None:
    response = await client.post(INTAKE, content=payload(), headers=headers)
    assert (response.status_code, response.json()["error"]["path"]) == (415, path)


async def test_minutes(client: Client) -> None:
    wrong = ["0", "abc", "", "-1", "1.5", "10081", "٣", "0000000011441", "000000001" + "1" * 5_000]
    for minutes in wrong:
        response = await client.get("/api/topology", params={"minutes": minutes})
        assert (response.status_code, response.json()["error"]["path"]) == (400, "minutes")
        assert "not a whole number from 1 to 10080" in response.json()["error"]["problem"]
    for right in (1, 1440, 10080):
        assert (await client.topology(right))["minutes"] == right


def test_the_mapping_of_the_protocol_is_the_default_here() -> None:
    assert (GAMMA, OFFSET) == (1.015625, 1338.5)
    assert bins_of(read_report(with_bins(binCounts={1338: 1}), "")) == {1338: 1}
