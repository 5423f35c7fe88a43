"""A bad field costs nothing but itself: the rest of the payload is accepted, and what is left out is counted."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from msgspec.msgpack import Ext

from asyncdsm.agent.intake import field_reader
from asyncdsm.agent.intake import sketches as sketches_module
from asyncdsm.agent.intake.fields import MAX_NAME
from asyncdsm.agent.intake.payload import UNNAMED, read_report
from asyncdsm.agent.store.histograms import PATHWAY, SIZE
from asyncdsm.agent.store.reports import Report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import GAMMA, OFFSET, ZERO, bin_index
from asyncdsm.delivery.sketch import encode
from tests.agent.payloads import NOW_NS, Client, bins_of, bucket, payload, point, sketch

SANE = ["type:kafka", "topic:sane", "direction:out"]
LONG = "x" * (MAX_NAME + 1)
JUNK: dict[str, Any] = {
    "null": None,
    "a flag": True,
    "a string": "x",
    "bytes": b"\xff\xfe",
    "below zero": -1,
    "2^64-1": 2**64 - 1,
    "nan": nan,
    "infinite": inf,
    "a double": 1.5,
    "a list": [1, [None]],
    "a map": {"a": {"b": [1]}},
    "a deep nest": [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]],
    "an extension": Ext(5, b"abc"),
    "a long string": LONG,
    "many strings": ["a:b"] * 70,
}


def sane(**changed: Any) -> dict[str, Any]:
    return point(EdgeTags=SANE, Hash=99, **changed)


def backlog(**changed: Any) -> dict[str, Any]:
    return {"Tags": ["type:kafka_produce", "topic:t", "partition:0"], "Value": 7, **changed}


def sane_counts(report: Report) -> dict[int, float]:
    """Return the counts of the sane point, wherever in the report it is."""
    place = [point.tags for bucket in report.buckets for point in bucket.points].index(tuple(sorted(SANE)))
    return bins_of(report, group=place)


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("name", [*point(), "TimestampType", "Unknown"])
def test_bad_field_of_a_point_costs_no_other_point(name: str, junk: Any) -> None:
    report = read_report(payload(bucket(sane(), point(**{name: junk}), Backlogs=[backlog()])), "")
    assert sane_counts(report) == {bin_index(0.25): 4}
    assert [value for _, value in report.buckets[0].backlogs] == [7]
    assert set(report.unread) <= {name}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("name", ["Tags", "Value", "Unknown"])
def test_bad_field_of_a_backlog_costs_no_other_backlog(name: str, junk: Any) -> None:
    report = read_report(payload(bucket(sane(), Backlogs=[backlog(**{name: junk}), backlog(Value=8)])), "")
    assert sane_counts(report) == {bin_index(0.25): 4}
    assert [value for _, value in report.buckets[0].backlogs][-1] == 8
    assert set(report.unread) <= {name}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("name", [*bucket(), "Backlogs", "Unknown"])
def test_bad_field_of_a_bucket_costs_no_other_bucket(name: str, junk: Any) -> None:
    report = read_report(payload(bucket(point(), **{name: junk}), bucket(sane())), "")
    assert sane_counts(report) == {bin_index(0.25): 4}
    if name not in {"Start", "Stats", "Unknown", "Duration"}:
        assert len(report.buckets[0].points) == 1
    assert set(report.unread) <= {name, "point", "backlog"}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize(
    "name", ["Service", "Env", "Version", "Lang", "Hostname", "ProcessTags", "TracerVersion", "PrimaryTag", "Unknown"]
)
def test_bad_field_of_a_payload_costs_no_bucket(name: str, junk: Any) -> None:
    report = read_report(payload(bucket(sane()), **{name: junk}), "")
    assert sane_counts(report) == {bin_index(0.25): 4}
    assert set(report.unread) <= {name}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("where", ["point", "backlog", "bucket"])
def test_item_that_is_no_map_costs_no_other_item(where: str, junk: Any) -> None:
    inner = {"Stats": [junk, sane()]} if where == "point" else {"Backlogs": [junk, backlog()], "Stats": [sane()]}
    buckets = [junk, bucket(sane())] if where == "bucket" else [bucket(**inner)]
    report = read_report(payload(Stats=buckets), "")
    assert sane_counts(report) == {bin_index(0.25): 4}
    assert report.unread.get(where) or isinstance(junk, dict)


COUNTED: dict[str, tuple[dict[str, Any], str]] = {
    "a tag is a number": ({"EdgeTags": ["a:b", 1]}, "EdgeTags"),
    "65 tags": ({"EdgeTags": [f"tag:{index}" for index in range(65)]}, "EdgeTags"),
    "a long tag": ({"EdgeTags": [LONG]}, "EdgeTags"),
    "hash is a string": ({"Hash": "7"}, "Hash"),
    "hash is a fraction": ({"Hash": 1.5}, "Hash"),
    "parent is missing": ({"ParentHash": None}, "ParentHash"),
    "edge latency is null": ({"EdgeLatency": None}, "EdgeLatency"),
}


@pytest.mark.parametrize(("changed", "cause"), COUNTED.values(), ids=COUNTED)
def test_unreadable_parts_are_counted_by_field(changed: dict[str, Any], cause: str) -> None:
    report = read_report(payload(bucket(sane(), point(**changed))), "")
    assert dict(report.unread) == {cause: 1}
    assert report.first_unread.startswith(f"$.Stats[0].Stats[1].{cause}: ")


def test_point_whose_edge_latency_is_missing_keeps_the_other_sketches() -> None:
    report = read_report(payload(bucket(point("EdgeLatency"))), "")
    assert dict(report.unread) == {"EdgeLatency": 1}
    assert bins_of(report, PATHWAY) == {bin_index(0.25): 4}


@pytest.mark.parametrize("start", [-1, 2**63, 2**64 - 1, "now", None, nan])
async def test_bucket_without_a_readable_start_counts_as_now(client: Client, start: Any) -> None:
    assert (await client.report(payload(bucket(sane(), Start=start)))).status_code == 202
    (edge,) = (await client.topology(1))["edges"]
    assert edge["count"] == 4
    health = (await client.get("/api/health")).json()
    assert (health["unread"], health["clamped_buckets"]) == ({"Start": 1}, 1)


@pytest.mark.parametrize("duration", [0, -1, 2 * 3600 * 10**9, "10 s", None])
def test_bucket_with_a_bad_duration_is_accepted_and_counted(duration: Any) -> None:
    report = read_report(payload(bucket(sane(), Duration=duration)), "")
    assert (len(report.buckets[0].points), dict(report.unread)) == (1, {"Duration": 1})


def test_numbers_written_as_doubles_or_signed_are_read() -> None:
    signed = point(Hash=-1, ParentHash=-2)
    odd = bucket(signed, Start=float(NOW_NS), Duration=1e10, Backlogs=[backlog(Value=5.0)])
    report = read_report(payload(odd), "")
    assert not report.unread
    (read,) = report.buckets
    assert (read.start_ns, read.duration_ns) == (NOW_NS, 10**10)
    assert (read.points[0].hash, read.points[0].parent) == (2**64 - 1, 2**64 - 2)
    assert [value for _, value in read.backlogs] == [5]


def test_keys_that_are_not_strings_are_ignored() -> None:
    odd_keys: dict[Any, Any] = {1: 2, None: 3, 2.5: 1}
    odd = {**bucket({**sane(), **odd_keys}), **odd_keys}
    report = read_report(payload(Stats=[odd]), "")
    assert sane_counts(report) == {bin_index(0.25): 4}
    assert not report.unread


@pytest.mark.parametrize(("service", "shown"), [(5, UNNAMED), (LONG, LONG[:-1]), (None, UNNAMED)])
async def test_payload_with_a_bad_service_gets_a_service_name(client: Client, service: Any, shown: str) -> None:
    assert (await client.report(payload(bucket(sane()), Service=service))).status_code == 202
    assert [row["name"] for row in (await client.topology())["services"]] == [shown]


SKETCHES: dict[str, tuple[bytes, str]] = {
    "garbage": (b"\xff\xff", "not a DDSketch protobuf"),
    "cut off": (sketch(binCounts={1: 1})[:-3], "not a DDSketch protobuf"),
    "a count below 0": (
        sketch(contiguousBinCounts=[1, -1]),
        "the count of bin 1 must be above 0 and at most 1e+15, got -1.0",
    ),
    "a sparse count below 0": (
        sketch(binCounts={9: -2}),
        "the count of bin 9 must be above 0 and at most 1e+15, got -2.0",
    ),
    "nan": (sketch(contiguousBinCounts=[nan]), "the count of bin 0 must be above 0 and at most 1e+15, got nan"),
    "infinitely many": (sketch(binCounts={9: inf}), "the count of bin 9 must be above 0 and at most 1e+15, got inf"),
    "nan zeros": (sketch(zeros=nan), "the count of zeros must be from 0 to 1e+15, got nan"),
    "zeros below 0": (sketch(zeros=-1), "the count of zeros must be from 0 to 1e+15, got -1.0"),
    "more than can be": (
        sketch(binCounts={9: 1e300}),
        "the count of bin 9 must be above 0 and at most 1e+15, got 1e+300",
    ),
    "nan negatives": (sketch(negative={1: nan}), "the count of bin 1 must be above 0 and at most 1e+15, got nan"),
    "a huge bin": (sketch(binCounts={2**31 - 1: 1}), "bin 2147483647 is outside of"),
    "a huge negative bin": (sketch(binCounts={-(2**31): 1}), "bin -2147483648 is outside of"),
    "a huge offset of bins": (sketch(contiguousBinCounts=[1], contiguousBinIndexOffset=2**31 - 1), "outside of"),
    "ours for zero, as a bin": (sketch(binCounts={-(1 << 20): 1}), "bin -1048576 is outside of"),
    "a hundred thousand bins, all empty": (sketch(contiguousBinCounts=[0] * 100_000), "100000 bins in a row"),
    "megabytes": (sketch(contiguousBinCounts=[0] * 1_000_000), "bytes; at most"),
    "gamma 1": (sketch(gamma=1, binCounts={1: 1}), "mapping with gamma 1.0"),
    "gamma 0": (sketch(gamma=0, binCounts={1: 1}), "mapping with gamma 0.0"),
    "gamma nan": (sketch(gamma=nan, binCounts={1: 1}), "mapping with gamma nan"),
    "offset nan": (sketch(offset=nan, binCounts={1: 1}), "offset nan"),
    "offset -inf": (sketch(offset=-inf, binCounts={1: 1}), "offset -inf"),
    "offset -1e308": (sketch(gamma=1.9, offset=-1e308, binCounts={1: 1}), "number that is too large"),
    "another interpolation": (sketch(interpolation=3, binCounts={1: 1}), "interpolation 3"),
    "a number too large": (sketch(gamma=1.9, offset=0, binCounts={1500: 1}), "number that is too large"),
    "the largest number": (sketch(gamma=1.001, offset=-669_900, binCounts={40_190: 1}), "number that is too large"),
}


@pytest.mark.parametrize(("data", "problem"), SKETCHES.values(), ids=SKETCHES)
@pytest.mark.parametrize("name", ["EdgeLatency", "PathwayLatency", "PayloadSize"])
def test_unreadable_sketch_costs_no_other_point_and_a_size_no_latency(data: bytes, problem: str, name: str) -> None:
    report = read_report(payload(bucket(point(**{name: data}), sane())), "")
    assert dict(report.unread) == {name: 1}
    assert report.first_unread.startswith(f"$.Stats[0].Stats[0].{name}: ")
    assert problem in report.first_unread
    sketches = {"EdgeLatency": 0, "PathwayLatency": PATHWAY, "PayloadSize": SIZE}
    counted = {other: sum(bins_of(report, number).values()) for other, number in sketches.items()}
    latencies, left_out = (4, 0) if name == "PayloadSize" else (0, 4)
    assert counted == {"EdgeLatency": latencies, "PathwayLatency": latencies, "PayloadSize": 0}
    assert sum(sane_counts(report).values()) == 4
    assert report.left_out == left_out


@pytest.mark.parametrize("negative", [{"negative": {5: 2, 900: 1}}, {"negative_run": [0, 2, 0, 1]}], ids=str)
def test_values_below_zero_count_as_zeros(negative: dict[str, Any]) -> None:
    data = sketch(binCounts={bin_index(0.5): 4}, zeros=2, **negative)
    report = read_report(payload(bucket(point(EdgeLatency=data))), "")
    assert (bins_of(report), report.negatives) == ({bin_index(0.5): 4, ZERO: 5}, 3)
    assert not report.unread


async def test_values_below_zero_are_shown_as_clocks_that_disagree(client: Client) -> None:
    """One latency below zero among a thousand is enough; zeros would have to be many."""
    latency = sketch(binCounts={bin_index(0.5): 1_000}, negative={5: 1})
    await client.report(payload(bucket(point(EdgeLatency=latency, ParentHash=3)), Service="skewed"))
    await client.report(payload(bucket(point(EdgeLatency=encode({bin_index(0.5): 1_000, ZERO: 1}))), Service="fine"))
    shown = await client.topology()
    assert {row["name"]: row["clocks_disagree"] for row in shown["services"]} == {"skewed": True, "fine": False}
    health = (await client.get("/api/health")).json()
    assert (health["negative_latencies"], health["unread"]) == (1, {})
    assert "asyncdsm_agent_negative_latencies_total 1.0\n" in (await client.get("/api/metrics")).text


async def test_unreadable_parts_are_shown_in_health_and_metrics(client: Client) -> None:
    body = payload(bucket(point(EdgeLatency=b"\xff"), point(Hash="x"), sane()), Env=[1])
    assert (await client.report(body)).status_code == 202
    assert (await client.get("/api/health")).json()["unread"] == {"EdgeLatency": 1, "Env": 1, "Hash": 1}
    metrics = (await client.get("/api/metrics")).text
    assert 'asyncdsm_agent_unread_total{cause="EdgeLatency"} 1.0\n' in metrics


LEFT_OUT: dict[str, tuple[dict[str, Any], float]] = {
    "the longest tag": ({"EdgeTags": ["direction:out", "topic:" + "x" * (MAX_NAME - 6)]}, 0),
    "a longer tag": ({"EdgeTags": ["direction:out", "topic:" + "x" * (MAX_NAME - 5)]}, 4),
    "a longer tag of a point of type origin": ({"EdgeTags": [LONG], "TimestampType": "origin"}, 0),
    "too long together": ({"EdgeTags": [f"{index}:{LONG[:1000]}" for index in range(5)]}, 4),
    "too long together, of type origin": (
        {"EdgeTags": [f"{index}:{LONG[:1000]}" for index in range(5)], "TimestampType": "origin"},
        0,
    ),
    "a hash that is none": ({"Hash": "x"}, 4),
    "a sketch of another tracer": ({"EdgeTags": [LONG], "PathwayLatency": sketch(gamma=1.02, binCounts={5: 3})}, 3),
    "no sketch": ({"EdgeTags": [LONG], "PathwayLatency": 5}, 0),
    "a sketch that is none": ({"EdgeTags": [LONG], "PathwayLatency": b"\xff"}, 0),
}


@pytest.mark.parametrize(("changed", "messages"), LEFT_OUT.values(), ids=LEFT_OUT)
async def test_messages_of_a_point_that_cannot_be_read_are_told(
    client: Client, changed: dict[str, Any], messages: float
) -> None:
    body = payload(bucket(point(**changed), sane()), Service="billing")
    assert (await client.report(body)).status_code == 202
    assert f"asyncdsm_left_out_messages_total {messages:.1f}\n" in (await client.get("/api/metrics")).text
    health = (await client.get("/api/health")).json()
    problems = [(each["name"], each["count"]) for each in health.get("problems", ())]
    assert (problems, health["status"]) == (([("unread", messages)], "degraded") if messages else ([], "ok"))
    if messages:
        assert "of service 'billing' are left out" in health["problems"][0]["problem"]
        assert "$.Stats[0].Stats[0]." in health["problems"][0]["problem"]


def test_reading_stops_after_too_many_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_reader, "MAX_UNREAD", 10)
    report = read_report(payload(bucket(*[point(Hash="x")] * 100, sane())), "")
    assert dict(report.unread) == {"Hash": 10, "given up": 91}


def test_sketch_of_the_tests_has_the_mapping_of_the_protocol() -> None:
    assert (GAMMA, OFFSET) == (1.015625, 1338.5)
    data = sketch(binCounts={1338: 1})
    assert bins_of(read_report(payload(bucket(point(EdgeLatency=data))), "")) == {1338: 1}


def test_partly_read_report_is_stored() -> None:
    store = SQLiteStore(now=lambda: NOW_NS / 1e9)
    store.add(read_report(payload(bucket(sane(), point(Hash=None), Start=None, Backlogs=[backlog(Value=None)])), ""))
    store.flush()
    assert store.counters()["rows"] == 1


BROKEN: dict[str, tuple[dict[str, Any], float]] = {
    "the latency of the hop": ({"EdgeLatency": b"\xff"}, 4),
    "the latency of the pathway": ({"PathwayLatency": b"\xff"}, 4),
    "both": ({"EdgeLatency": b"\xff", "PathwayLatency": b"\xff"}, 1),
    "the size": ({"PayloadSize": b"\xff"}, 0),
}


@pytest.mark.parametrize(("changed", "messages"), BROKEN.values(), ids=BROKEN)
async def test_map_and_metrics_leave_out_a_point_with_an_unreadable_latency_and_say_so(
    client: Client, changed: dict[str, Any], messages: float
) -> None:
    tags = ["direction:in", "topic:orders", "type:kafka"]
    assert (await client.report(payload(bucket(point(EdgeTags=tags, **changed))))).status_code == 202
    health, metrics = (await client.get("/api/health")).json(), (await client.get("/api/metrics")).text
    (edge,) = (await client.topology())["edges"]
    consumed = [
        float(line.rsplit(" ", 1)[1]) for line in metrics.split("\n") if line.startswith("messaging_client_consumed")
    ]
    assert edge["count"] == sum(consumed) == (0 if messages else 4)
    assert f"asyncdsm_left_out_messages_total {messages:.1f}\n" in metrics
    problems = [(each["name"], each["count"]) for each in health.get("problems", ())]
    assert (problems, health["status"]) == (([("unread", messages)], "degraded") if messages else ([], "ok"))


async def test_messages_beyond_the_limit_of_unusual_sketches_are_told(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches_module, "MAX_FOREIGN_SKETCHES", 3)
    odd = sketch(gamma=1.02, binCounts={5: 3})
    points = [point(Hash=number, EdgeLatency=odd, PathwayLatency=odd) for number in range(4)]
    await client.report(payload(bucket(*points)))
    health = (await client.get("/api/health")).json()
    assert [(each["name"], each["count"]) for each in health["problems"]] == [("unread", 3 + 1 + 1)]
    assert sum(edge["count"] for edge in (await client.topology())["edges"]) == 3
