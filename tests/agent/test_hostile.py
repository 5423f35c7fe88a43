"""Payloads that somebody made to do harm are refused with a 4xx status, or stored and shown as they are."""

from __future__ import annotations

import random

import pytest
from anyio import to_thread
from msgspec.msgpack import encode as to_msgpack

from asyncdsm.agent.intake.fields import MAX_NAME
from asyncdsm.agent.intake.payload import UNNAMED
from asyncdsm.core.histogram import ZERO
from asyncdsm.delivery.sketch import encode
from tests.agent.payloads import MSGPACK, NOW, NOW_NS, SECOND_NS, Client, bucket, payload, point, sketch
from tests.agent.stores import AnyStore, OpenStore

MARKUP = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "javascript:alert(1)",
    "</svg><svg onload=alert(1)>",
    "'; DROP TABLE points; --",
    "%00%0d%0aSet-Cookie: a=b",
    "\x00\x1b[2J\u202e\ufeff",
    "{{7*7}}${7*7}",
    "x" * MAX_NAME,
    "",
    " ",
    "a:b:c",
    "../../etc/passwd",
    "\U0001f600",
]


# What is refused, or read as nothing, is so before it comes to a store.
in_memory = pytest.mark.parametrize("open_store", ["memory"], indirect=True)


@pytest.fixture
async def store(open_store: OpenStore) -> AnyStore:
    """Give the agent of `client` a store of each kind."""
    return await to_thread.run_sync(lambda: open_store(now=lambda: NOW))


@pytest.mark.parametrize("name", MARKUP, ids=ascii)
async def test_hostile_names_are_kept_and_shown_as_text(client: Client, name: str) -> None:
    tags = ["type:kafka", "direction:in", f"topic:{name[: MAX_NAME - 6]}", f"group:{name[: MAX_NAME - 6]}"]
    backlogs = [
        {"Tags": [f"type:{kind}", tags[2], *more], "Value": 5}
        for kind, more in (("kafka_produce", []), ("kafka_commit", [f"consumer_group:{name[: MAX_NAME - 15]}"]))
    ]
    body = payload(bucket(point(EdgeTags=tags), Backlogs=backlogs), Service=name, Env=name)
    assert (await client.report(body)).status_code == 202
    answer = await client.get("/api/topology")
    assert answer.headers["Content-Type"] == "application/json"
    (edge,) = answer.json()["edges"]
    assert (edge["service"], edge["env"], edge["queue"]) == (name or UNNAMED, name, name[: MAX_NAME - 6])
    for path, query in (
        ("/api/series", {"edge": edge["id"]}),
        ("/api/lag", {"topic": edge["queue"]}),
        ("/api/pathways", {"service": name, "env": name}),
        ("/api/pathways", {"queue": edge["queue"], "type": "kafka"}),
    ):
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


FAR: dict[str, bytes] = {
    "the farthest bins": sketch(binCounts={47_000: 1, -47_000: 1}),
    "every bin there is": sketch(contiguousBinCounts=[1.0] * 94_000, contiguousBinIndexOffset=-47_000),
    "the largest counts": encode({0: 1e15, 2_047: 1e15, ZERO: 1e15}),
    "shares of a message": encode({5: 0.5, 6: 1e-9}),
    "below every number": sketch(binCounts={-47_000: 4}),
}


@pytest.mark.parametrize("data", FAR.values(), ids=FAR)
async def test_extreme_latencies_are_counted(client: Client, data: bytes) -> None:
    sane = point(Hash=2, EdgeTags=["type:kafka", "topic:sane", "direction:out"])
    body = payload(bucket(point(EdgeLatency=data, PathwayLatency=data, PayloadSize=data), sane))
    assert (await client.report(body)).status_code == 202
    shown = await client.topology()
    far, near = shown["edges"]
    assert far["count"] > 0
    assert near["edge_latency"]["p50"] == pytest.approx(0.25, rel=0.008)
    answer = await client.get("/api/series", params={"edge": far["id"]})
    assert answer.status_code == 200


async def test_largest_and_smallest_numbers_are_accepted(client: Client) -> None:
    most = 2**64 - 1
    backlogs = [
        {"Tags": ["type:kafka_produce", "topic:t", "partition:0"], "Value": most},
        {"Tags": ["type:kafka_commit", "topic:t", "partition:0", "consumer_group:g"], "Value": 0},
        {"Tags": ["type:kafka_commit", "topic:t", "partition:0", "consumer_group:h"], "Value": -(2**63)},
    ]
    body = payload(bucket(point(Hash=most, ParentHash=most), Backlogs=backlogs))
    assert (await client.report(body)).status_code == 202
    (pathway,) = (await client.topology())["pathways"]
    assert (pathway["hash"], pathway["parent"]) == (str(most), str(most))
    assert (await client.get("/api/lag", params={"topic": "t"})).status_code == 200
    assert (await client.get("/api/pathways", params={"service": "foreign"})).json() == {"pathways": []}


async def test_buckets_of_any_time_are_accepted(client: Client) -> None:
    starts = [0, 1, NOW_NS - 10**18, NOW_NS, NOW_NS + 10**18, 2**63 - 1]
    body = payload(*(bucket(point(Hash=number), Start=start) for number, start in enumerate(starts)))
    assert (await client.report(body)).status_code == 202
    health = (await client.get("/api/health")).json()
    assert (health["ignored_rows"], health["clamped_buckets"]) == (3, 2)
    assert [row["hash"] for row in (await client.topology())["pathways"]] == ["3", "4", "5"]


@in_memory
async def test_many_empty_buckets_are_accepted(client: Client) -> None:
    body = payload(*(bucket(Start=NOW_NS - second * SECOND_NS) for second in range(20_000)))
    assert (await client.report(body)).status_code == 202
    assert (await client.topology())["edges"] == []


@in_memory
@pytest.mark.parametrize("depth", [100, 2_000, 500_000])
@pytest.mark.parametrize("where", ["unknown", "Stats", "Service"])
async def test_deeply_nested_payload_harms_nothing(client: Client, depth: int, where: str) -> None:
    nest = b"\x91" * depth + b"\xc0"
    body = b"\x83" + to_msgpack(where) + nest + to_msgpack("Service") + to_msgpack("s") + to_msgpack("Stats") + b"\xc0"
    # Of a field that occurs twice the last one is read; the other one may nest as deep as this Python lets it.
    taken = {100: [202], 2_000: [202, 400]}.get(depth, [400])
    assert (await client.report(body)).status_code in taken
    assert (await client.get("/api/health")).json()["status"] == "ok"


@in_memory
async def test_rubbish_does_not_stop_good_payloads(client: Client) -> None:
    chance = random.Random(3)
    for number in range(30):
        answer = await client.post("/v0.1/pipeline_stats", content=chance.randbytes(200), headers=MSGPACK)
        assert answer.status_code == 400
        assert (await client.report(payload(bucket(point()), Hostname=str(number)))).status_code == 202
    (edge,) = (await client.topology())["edges"]
    assert edge["count"] == 30 * 4
