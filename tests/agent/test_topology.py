"""What tracers send, and the map that the agent answers with."""

from __future__ import annotations

from typing import Any

import pytest

from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import MOST_PATHWAYS, Edge
from tests.agent.payloads import MINUTE_NS, NOW, NOW_NS, SECOND_NS, Client, bucket, ours, passed, payload, point, sketch

OUT = Edge("direction:out", "topic:orders", "type:kafka")
IN = Edge("direction:in", "group:billing", "topic:orders", "type:kafka")
HUNDREDTHS = [hundredth / 100 for hundredth in range(1, 101)]


def produced(aggregator: Aggregator) -> None:
    passed(aggregator, OUT, HUNDREDTHS, size=512)
    for partition, offset in (("0", 99), ("1", 49)):
        tags = (f"partition:{partition}", "topic:orders", "type:kafka_produce")
        aggregator.record_offset(tags, offset)


def consumed(aggregator: Aggregator) -> None:
    passed(aggregator, IN, HUNDREDTHS[:50], parent=2**64 - 1)
    for partition, offset in (("0", 90), ("1", 45)):
        tags = ("consumer_group:billing", f"partition:{partition}", "topic:orders", "type:kafka_commit")
        aggregator.record_offset(tags, offset)


async def test_payloads_of_asyncdsm_become_a_topology(client: Client) -> None:
    for body in [*ours(produced, "shop", "prod"), *ours(consumed, "bill")]:
        response = await client.report(body, gzipped=True)
        assert (response.status_code, response.json()) == (202, {"acknowledged": True})
    shown = await client.topology()

    assert [(service["name"], service["env"]) for service in shown["services"]] == [("bill", ""), ("shop", "prod")]
    assert {service["last_seen"] for service in shown["services"]} == {NOW}
    unread = {"unread": False, "unread_since": None}
    assert shown["queues"] == [{"type": "kafka", "name": "orders", "cluster": None, **unread}]
    came, went = shown["edges"]
    assert (came["service"], came["direction"], came["group"], came["queue"]) == ("bill", "in", "billing", "orders")
    assert (went["service"], went["direction"], went["group"], went["env"]) == ("shop", "out", None, "prod")
    assert went["tags"] == sorted(OUT.tags)
    assert (came["count"], went["count"]) == (50, 100)
    assert (came["lag"], went["lag"]) == (15, None)
    assert went["rate"] == pytest.approx(100 / shown["seconds"])
    expected = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    assert went["edge_latency"] == pytest.approx(expected, rel=0.008)
    assert went["pathway_latency"] == pytest.approx({name: 2 * value for name, value in expected.items()}, rel=0.008)
    assert went["payload_size"] == pytest.approx(dict.fromkeys(expected, 512), rel=0.008)
    assert came["payload_size"] == dict.fromkeys(expected)
    assert [(partition["partition"], partition["behind"]) for partition in shown["lag"]] == [("0", 10), ("1", 5)]


async def test_hashes_are_decimal_strings(client: Client) -> None:
    hashes = list[int]()
    for body in ours(lambda aggregator: hashes.append(passed(aggregator, IN, [0.1], parent=2**64 - 1))):
        await client.report(body, gzipped=True)
    (pathway,) = (await client.topology())["pathways"]
    assert (pathway["hash"], pathway["parent"]) == (str(hashes[0]), "18446744073709551615")


@pytest.mark.parametrize("path", ["/v0.1/pipeline_stats", "/api/v0.1/pipeline_stats"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_both_intake_paths_accept_payloads(client: Client, method: str, path: str) -> None:
    headers = {"Content-Type": "application/msgpack"}
    response = await client.request(method, path, content=payload(bucket(point())), headers=headers)
    assert response.status_code == 202


FOREIGN: dict[str, dict[str, Any] | bytes] = {
    "keys in another order": dict(reversed(point().items())),
    "extra keys": point(TimestampType="current", Transactions=[{"Id": "x"}], ProductMask=3),
    "no payload size": point("PayloadSize"),
    "sparse counts": point(EdgeLatency=sketch(binCounts={1249: 4}), PayloadSize=sketch()),
    "sizes are all zero, without a mapping": point(PayloadSize=sketch(gamma=0, offset=0, zeros=2)),
}


@pytest.mark.parametrize("written", FOREIGN.values(), ids=FOREIGN.keys())
async def test_points_of_other_tracers_are_read(client: Client, written: dict[str, Any]) -> None:
    extra = {"ProductMask": 1, "ProcessTags": ["a:b"], "Version": None}
    response = await client.report(payload(bucket(written, Backlogs=None, Transactions=b"x"), **extra))
    assert response.status_code == 202, response.text
    (edge,) = (await client.topology())["edges"]
    assert (edge["service"], edge["queue"], edge["count"]) == ("foreign", "orders", 4)
    assert edge["edge_latency"]["p50"] == pytest.approx(0.25, rel=0.008)


@pytest.mark.parametrize("buckets", [None, [], [bucket(Stats=None, Backlogs=None)]])
async def test_empty_payload_shows_the_service_only(client: Client, buckets: list[Any] | None) -> None:
    assert (await client.report(payload(Stats=buckets))).status_code == 202
    shown = await client.topology()
    assert [service["name"] for service in shown["services"]] == ["foreign"]
    assert shown["edges"] == []


async def test_points_of_type_origin_are_left_out(client: Client) -> None:
    points = point(TimestampType="current"), point(TimestampType="origin")
    await client.report(payload(bucket(points[0]), bucket(points[1])))
    assert [edge["count"] for edge in (await client.topology())["edges"]] == [4]


@pytest.mark.parametrize("start", [0, NOW_NS + 24 * 60 * MINUTE_NS, 2**64 - SECOND_NS])
async def test_bucket_of_type_origin_is_left_out_whenever_it_starts(client: Client, start: int) -> None:
    """dd-trace-go computes the start from the context of a message, which may say anything."""
    await client.report(payload(bucket(point()), bucket(point(TimestampType="origin"), Start=start)))
    assert [edge["count"] for edge in (await client.topology())["edges"]] == [4]
    health = (await client.get("/api/health")).json()
    assert (health["rows"], health["unread"]) == (1, {})
    assert (health["ignored_rows"], health["clamped_buckets"]) == (0, 0)


async def test_service_with_too_many_pathways_is_marked(client: Client) -> None:
    for name, pathways in (("few", MOST_PATHWAYS // 2), ("many", MOST_PATHWAYS + 1), ("most", MOST_PATHWAYS)):
        await client.report(payload(bucket(*(point(Hash=hash_) for hash_ in range(pathways))), Service=name))
    services = (await client.topology())["services"]
    assert [(row["pathways"], row["many_pathways"], row["too_many_pathways"]) for row in services] == [
        (MOST_PATHWAYS // 2, False, False),
        (MOST_PATHWAYS + 1, True, True),
        (MOST_PATHWAYS, True, False),
    ]


async def test_other_tracer_endpoints_are_answered(client: Client) -> None:
    assert "/v0.1/pipeline_stats" in (await client.get("/info")).json()["endpoints"]
    for path in ("/v0.4/traces", "/v0.6/stats", "/telemetry/proxy/api/v2/apmtelemetry"):
        assert (await client.post(path, content=b"anything")).json() == {}
    assert (await client.get("/api/health")).json()["status"] == "ok"
    assert (await client.get("/nowhere")).status_code == 404
