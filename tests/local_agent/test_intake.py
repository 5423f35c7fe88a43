"""What the agent takes from any tracer, and what it says of the rest: over real HTTP."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from time import time_ns
from typing import Any

import httpx2
import pytest
from ddsketch.pb import ddsketch_pb2
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm.agent.intake import IntakeError, read_report
from asyncdsm.sketch import Sketch
from tests.local_agent.conftest import payload_of, point_of, post, sketch_of

pb: Any = ddsketch_pb2
NOW = time_ns()


def foreign(gamma: float = 1.015625, **parts: Any) -> bytes:
    mapping = pb.IndexMapping(gamma=gamma, indexOffset=0.0)
    data: bytes = pb.DDSketch(mapping=mapping, **parts).SerializeToString()
    return data


async def shown(client: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/api/topology")
    assert answer.status_code == 200
    topology: dict[str, Any] = answer.json()
    return topology


async def test_what_other_tracers_send(client: httpx2.AsyncClient) -> None:
    odd = point_of(0.5, TimestampType="current", Extra={"deep": [1]})
    twice = point_of(0.5, TimestampType="origin")
    bare = {name: value for name, value in point_of(0.5).items() if name not in {"PayloadSize", "EdgeTags"}}
    more = {"Transactions": b"x", "ProductMask": 3, "ProcessTags": ["a:b"]}
    assert (await post(client, payload_of(odd, twice, bare, start=NOW, **more))).status_code == 202
    assert (await post(client, payload_of(start=NOW, bucket={"Stats": None, "Backlogs": None}), "")).status_code == 202
    assert (await post(client, payload_of(start=NOW, Stats=None))).status_code == 202
    edges = {edge["queue"]: edge for edge in (await shown(client))["edges"]}
    assert edges["orders"]["count"] == 1
    assert edges["orders"]["payload_size"]["p50"] == pytest.approx(100, rel=0.008)
    assert edges[""]["count"] == 1


async def test_sparse_and_foreign_sketches(client: httpx2.AsyncClient) -> None:
    sparse = pb.DDSketch(mapping=pb.IndexMapping(gamma=1.015625, indexOffset=1338.5))
    sparse.positiveValues.binCounts[1338] = 4
    gamma = 1.02
    index = 35  # 1.02 ** 35 = 2.0
    other = foreign(gamma, positiveValues=pb.Store(contiguousBinCounts=[3.0], contiguousBinIndexOffset=index))
    body = payload_of(
        point_of(EdgeLatency=sparse.SerializeToString(), PathwayLatency=other, PayloadSize=b""), start=NOW
    )
    assert (await post(client, body)).status_code == 202
    (edge,) = (await shown(client))["edges"]
    assert edge["edge_latency"]["p50"] == pytest.approx(1.0, rel=0.016)
    assert edge["pathway_latency"]["p50"] == pytest.approx(2.0, rel=0.03)
    assert edge["count"] == 4


async def test_the_map(client: httpx2.AsyncClient) -> None:
    values = [0.01 * number for number in range(1, 101)]
    backlogs = [
        {"Tags": ["type:kafka_produce", "topic:orders", "partition:0"], "Value": 99},
        {"Tags": ["type:kafka_commit", "consumer_group:g", "topic:orders", "partition:0"], "Value": 58},
    ]
    for start, part in ((NOW, values[::2]), (NOW - 60 * 10**9, values[1::2])):
        body = payload_of(point_of(*part), start=start, bucket={"Backlogs": backlogs}, Env="prod")
        assert (await post(client, body)).json() == {"acknowledged": True}
    topology = await shown(client)
    (service,), (queue,), (edge,), (pathway,), (lag,) = (
        topology[name] for name in ("services", "queues", "edges", "pathways", "lag")
    )
    assert (service["name"], service["env"], service["pathways"]) == ("billing", "prod", 1)
    assert queue == {"type": "kafka", "name": "orders"}
    assert (edge["direction"], edge["group"], edge["count"], edge["lag"]) == ("in", "g", 100, 42)
    for name, exact in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        assert edge["edge_latency"][name] == pytest.approx(exact, rel=0.008)
    assert edge["rate"] > 0
    assert (pathway["hash"], pathway["parent"]) == (str(2**64 - 1), "7")
    assert (lag["group"], lag["behind"]) == ("g", 42)


WRONG: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "no service": (lambda: b"\x80", "$", "missing required field `Service`"),
    "not msgpack": (lambda: b"\xc1", "$", "malformed"),
    "a number for a text": (lambda: payload_of(start=NOW, Service=1), "$.Service", "Expected `str`, got `int`"),
    "a text for a list": (lambda: payload_of(start=NOW, ProcessTags="a:b"), "$.ProcessTags", "Expected"),
    "deep inside": (
        lambda: payload_of(point_of(1), point_of(1, Hash="x"), start=NOW), "$.Stats[0].Stats[1].Hash", "`int`",
    ),
    "a negative hash": (lambda: payload_of(point_of(1, Hash=-1), start=NOW), "$.Stats[0].Stats[0].Hash", ">= 0"),
    "no duration": (lambda: payload_of(start=NOW, bucket={"Duration": 0}), "$.Stats[0].Duration", "above 0"),
    "no time": (lambda: payload_of(start=2**64 - 1), "$.Stats[0].Start", "not a time"),
    "a broken sketch": (
        lambda: payload_of(point_of(1, EdgeLatency=b"\xff"), start=NOW), "$.Stats[0].Stats[0].EdgeLatency", "DDSketch",
    ),
    "negative counts": (
        lambda: payload_of(
            point_of(1, PayloadSize=foreign(positiveValues=pb.Store(contiguousBinCounts=[-1.0]))), start=NOW
        ),
        "$.Stats[0].Stats[0].PayloadSize",
        "count of bin 0 is -1.0",
    ),
    "counts without end": (
        lambda: payload_of(point_of(1, PayloadSize=foreign(zeroCount=float("inf"))), start=NOW),
        "$.Stats[0].Stats[0].PayloadSize",
        "inf",
    ),
    "no count": (
        lambda: payload_of(point_of(1, PayloadSize=foreign(zeroCount=float("nan"))), start=NOW),
        "$.Stats[0].Stats[0].PayloadSize",
        "nan",
    ),
    "negative values": (
        lambda: payload_of(
            point_of(1, EdgeLatency=foreign(negativeValues=pb.Store(contiguousBinCounts=[1.0]))), start=NOW
        ),
        "$.Stats[0].Stats[0].EdgeLatency",
        "negative values",
    ),
    "bins too far": (
        lambda: payload_of(
            point_of(1, EdgeLatency=foreign(positiveValues=pb.Store(binCounts={2**30: 1.0}))), start=NOW
        ),
        "$.Stats[0].Stats[0].EdgeLatency",
        "outside",
    ),
    "too many tags": (
        lambda: payload_of(point_of(1, EdgeTags=["a:b"] * 65), start=NOW), "$.Stats[0].Stats[0].EdgeTags", "65 tags",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_named(client: httpx2.AsyncClient, name: str) -> None:
    body, path, problem = WRONG[name]
    answer = await post(client, body())
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["path"] == path
    assert problem in error["problem"]
    assert (await shown(client))["edges"] == []


async def test_wrong_requests(client: httpx2.AsyncClient) -> None:
    good = payload_of(point_of(1), start=NOW)
    assert (await post(client, good, "br")).status_code == 415
    assert (await post(client, good, **{"Content-Type": "text/plain"})).status_code == 415
    assert (await post(client, good[:-1], "")).status_code == 400
    headers = {"Content-Type": "application/msgpack", "Content-Encoding": "gzip"}
    for body in (good, gzip.compress(good)[:-9], b""):
        answer = await client.post("/v0.1/pipeline_stats", content=body, headers=headers)
        assert answer.status_code == 400, answer.text
    halves = gzip.compress(good[:50]) + gzip.compress(good[50:])
    assert (await client.post("/v0.1/pipeline_stats", content=halves, headers=headers)).status_code == 202
    for minutes in ("0", "abc", "1441", "-1", "0" * 5000 + "1", "¹"):
        answer = await client.get("/api/topology", params={"minutes": minutes})
        assert (answer.status_code, answer.json()["error"]["path"]) == (400, "minutes")
    for answer in (await client.get("/nothing"), await client.get("/v0.1/pipeline_stats")):
        assert answer.status_code in {404, 405}
        assert "is not served here" in answer.json()["error"]["problem"]


async def test_too_large(client: httpx2.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(1024 * 1024)

    headers = {"Content-Type": "application/msgpack"}
    answer = await client.post("/v0.1/pipeline_stats", content=parts(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["path"]) == (413, "body")
    bomb = zlib.compressobj(9, wbits=31)
    body = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(256)) + bomb.flush()
    answer = await client.post("/v0.1/pipeline_stats", content=body, headers={**headers, "Content-Encoding": "gzip"})
    assert (answer.status_code, "unpacks to more than" in answer.text) == (413, True)
    assert (await post(client, b"\x91" * 100_000, "")).status_code == 400


GOOD = payload_of(point_of(0.5, 1, 2), start=NOW, bucket={"Backlogs": [{"Tags": ["a:b"], "Value": 1}]})


@given(at=st.integers(0, len(GOOD) - 1), cut=st.integers(0, 20), put=st.binary(max_size=20))
def test_mutated_payloads_are_refused_or_read(at: int, cut: int, put: bytes) -> None:
    try:
        report = read_report(GOOD[:at] + put + GOOD[at + cut :], "")
    except IntakeError as error:
        assert error.path
        assert error.problem
    else:
        assert isinstance(report.service, str)


@given(data=st.binary(max_size=200) | st.builds(lambda a, b: sketch_of(1.0)[:a] + b, st.integers(0, 40), st.binary()))
def test_mutated_sketches_are_refused_or_read(data: bytes) -> None:
    from asyncdsm.sketch import SketchError

    try:
        sketch = Sketch.decode(data)
    except SketchError:
        return
    assert sketch.count >= 0
