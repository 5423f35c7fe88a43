"""What the API answers: ranges, one edge over time, lag over time, pathways, and that something changed."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from anyio import to_thread

from asyncdsm.agent.http import live_events
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.core.histogram import ZERO
from asyncdsm.delivery.sketch import encode
from tests.agent.payloads import MINUTE_NS, NOW, NOW_NS, SECOND_NS, Client, bucket, ours, passed, payload, point

ORDERS = "direction:out", "topic:orders", "type:kafka"
FROM_ORDERS = "direction:in", "group:billing", "topic:orders", "type:kafka"
INVOICES = "direction:out", "topic:invoices", "type:kafka"
FROM_INVOICES = "direction:in", "group:shipping", "topic:invoices", "type:kafka"


async def get(client: Client, path: str, **query: Any) -> Any:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refusal(client: Client, path: str, **query: Any) -> tuple[int, str]:
    answer = await client.get(path, params=query)
    return answer.status_code, answer.json()["error"]["path"]


async def report(client: Client, service: str, tags: tuple[str, ...], latency: float, **more: Any) -> int:
    """Report ten messages; return the pathway's hash."""
    hashes = list[int]()
    at_ns = NOW_NS - more.pop("seconds_ago", 0) * SECOND_NS

    def record(aggregator: Aggregator) -> None:
        hashes.append(passed(aggregator, Edge(*tags), [latency] * 10, **more))

    for body in ours(record, service, at_ns=at_ns):
        assert (await client.report(body, gzipped=True)).status_code == 202
    return hashes[0]


async def edge_id(client: Client) -> str:
    (edge,) = (await client.topology(1440))["edges"]
    found: str = edge["id"]
    return found


async def test_topology_covers_range_given_by_from_and_to(client: Client, store: SQLiteStore) -> None:
    for seconds_ago, latency in ((0, 1.0), (100, 2.0), (200, 4.0)):
        await report(client, "shop", ORDERS, latency, seconds_ago=seconds_ago)
    for first, last, count in ((NOW - 300, NOW, 20), (NOW - 110, NOW + 10, 20), (NOW - 210, NOW - 190, 10)):
        shown = await get(client, "/api/topology", **{"from": first, "to": last})
        assert [edge["count"] for edge in shown["edges"]] == [count]
        assert (shown["from"], shown["to"]) == (first, min(last, NOW))
    shown = await get(client, "/api/topology", to=NOW - 500)
    assert (shown["edges"], shown["services"]) == ([], [])  # the service reported for the first time afterwards
    await to_thread.run_sync(store.flush)
    assert [edge["count"] for edge in (await client.topology())["edges"]] == [30]


RANGED = [
    ("/api/topology", {}),
    ("/api/changes", {}),
    ("/api/series", {"edge": "x"}),
    ("/api/lag", {"topic": "x"}),
    ("/api/pathways", {"service": "x"}),
    ("/api/latency", {"first": "x", "last": "y"}),
    ("/api/downstream", {"service": "x"}),
]


@pytest.mark.parametrize(("path", "needed"), RANGED)
async def test_wrong_time_range_is_rejected_with_400(client: Client, path: str, needed: dict[str, str]) -> None:
    for query, wrong in (
        ({"minutes": "0"}, "minutes"),
        ({"minutes": "5", "from": "1"}, "minutes"),
        ({"from": "yesterday"}, "from"),
        ({"from": "nan"}, "from"),
        ({"from": "1_000"}, "from"),
        ({"from": "+5"}, "from"),
        ({"from": " 5"}, "from"),
        ({"from": "-1"}, "from"),
        ({"from": "1e10"}, "from"),
        ({"to": "inf"}, "to"),
        ({"from": "100", "to": "100"}, "from"),
    ):
        assert await refusal(client, path, **needed, **query) == (400, wrong)
    answer = await client.get(f"{path}?minutes=1&minutes=2", params=None)
    assert (answer.status_code, answer.json()["error"]["path"]) == (400, "minutes")


async def test_series_of_edge_has_a_point_per_step(client: Client, store: SQLiteStore) -> None:
    for seconds_ago, latency in ((90, 1.0), (90, 1.0), (60, 2.0), (0, 4.0)):
        await report(client, "shop", ORDERS, latency, seconds_ago=seconds_ago, size=100)
    await report(client, "other", ORDERS, 9.0)
    edge = next(edge for edge in (await client.topology())["edges"] if edge["service"] == "shop")
    for _ in range(2):
        shown = await get(client, "/api/series", edge=edge["id"])
        assert shown["edge"] == {name: value for name, value in edge.items() if name in shown["edge"]}
        assert shown["step"] == 10
        assert [(row["start"], row["count"], row["rate"]) for row in shown["points"]] == [
            (NOW - 90, 20, 2.0),
            (NOW - 60, 10, 1.0),
            (NOW, 10, 1.0),
        ]
        assert [row["edge_latency"]["p50"] for row in shown["points"]] == pytest.approx([1, 2, 4], rel=0.008)
        assert [row["pathway_latency"]["p99"] for row in shown["points"]] == pytest.approx([2, 4, 8], rel=0.008)
        assert [row["payload_size"]["max"] for row in shown["points"]] == pytest.approx([100] * 3, rel=0.008)
        await to_thread.run_sync(store.flush)


async def test_step_sets_the_length_of_series_points(client: Client) -> None:
    for seconds_ago in (0, 10, 70):
        await report(client, "shop", ORDERS, 1.0, seconds_ago=seconds_ago)
    edge = await edge_id(client)
    shown = await get(client, "/api/series", edge=edge, step=60)
    assert [(row["start"], row["count"]) for row in shown["points"]] == [(NOW - 120, 10), (NOW - 60, 10), (NOW, 10)]
    assert (await get(client, "/api/series", edge=edge, minutes=1440))["step"] == 600
    for asked, given in ((None, 60), (10, 60), (70, 120), (120, 120)):
        older = {"from": NOW - 26 * 3600, "to": NOW - 25 * 3600} | ({} if asked is None else {"step": asked})
        assert (await get(client, "/api/series", edge=edge, **older))["step"] == given, "minutes are kept of these days"
    for step in ("0", "5", "15", "x", "-10", "1e1"):
        assert await refusal(client, "/api/series", edge=edge, step=step) == (400, "step")
    assert await refusal(client, "/api/series", edge=edge, step=10, minutes=10_000) == (400, "step")
    assert await refusal(client, "/api/series", edge="0" * 16) == (404, "edge")
    assert await refusal(client, "/api/series") == (400, "edge")


async def test_step_that_is_not_over_or_not_wholly_in_the_range_is_not_complete(client: Client) -> None:
    for seconds_ago in (0, 10, 20, 30, 60, 120, 130):
        await report(client, "shop", ORDERS, 1.0, seconds_ago=seconds_ago)
    edge = await edge_id(client)

    async def complete(**query: Any) -> list[tuple[float, bool]]:
        points = (await get(client, "/api/series", edge=edge, **query))["points"]
        return [(row["start"] - NOW, row["complete"]) for row in points]

    assert (await complete())[-4:] == [(-30, True), (-20, False), (-10, False), (0, False)]
    past = {"from": NOW - 150, "to": NOW - 30, "step": 60}
    assert await complete(**past) == [(-180, False), (-120, True), (-60, False)]


async def test_range_from_the_beginning_of_time_is_as_long_as_data_are_kept(client: Client, store: SQLiteStore) -> None:
    await report(client, "shop", ORDERS, 1.0, seconds_ago=20)
    for last, end in ((NOW + 60, NOW), (NOW - 86_400, NOW - 86_400)):
        shown = await get(client, "/api/topology", **{"from": 0, "to": last})
        assert shown["from"] == (end - store.kept_seconds) // 60 * 60
        assert shown["minutes"] <= store.kept_seconds // 60 + 2
    assert len((await get(client, "/api/topology", **{"from": 0}))["edges"]) == 1


async def test_range_in_the_future_is_an_empty_map_whose_end_is_after_its_begin(client: Client) -> None:
    await report(client, "shop", ORDERS, 1.0)
    future = {"from": NOW + 86_400, "to": NOW + 90_000}
    shown = await get(client, "/api/map", **future)
    assert (shown["from"], shown["to"]) == (future["from"], future["to"])
    assert [shown[name] for name in ("services", "queues", "edges", "nodes", "lag")] == [[], [], [], [], []]
    changed = await get(client, "/api/changes", **future)
    assert (changed["from"], changed["to"], changed["changes"]) == (future["from"], future["to"], [])


async def test_edge_id_is_the_same_in_every_agent(client: Client) -> None:
    await report(client, "shop", ORDERS, 1.0)
    assert await edge_id(client) == "d538c8babf4f7d2a"


async def test_lag_over_time_is_answered_per_group_and_partition(client: Client, store: SQLiteStore) -> None:
    for seconds_ago, produced, committed in ((40, 99, 90), (20, 199, 150), (0, 199, 200)):
        backlogs = [
            {"Tags": [f"type:{kind}", "topic:orders", "partition:0", *more], "Value": value}
            for kind, more, value in (
                ("kafka_produce", (), produced),
                ("kafka_commit", ("consumer_group:billing",), committed),
                ("kafka_commit", ("consumer_group:audit",), 0),
            )
        ]
        body = payload(bucket(Start=NOW_NS - seconds_ago * SECOND_NS, Backlogs=backlogs))
        assert (await client.report(body)).status_code == 202
    for _ in range(2):
        (series,) = (await get(client, "/api/lag", topic="orders", group="billing"))["series"]
        assert {name: series[name] for name in ("group", "topic", "partition", "cluster_id")} == {
            "group": "billing",
            "topic": "orders",
            "partition": "0",
            "cluster_id": None,
        }
        points = [(row["start"], row["behind"]) for row in series["points"]]
        assert points == [(NOW - 40, 10), (NOW - 20, 50), (NOW, 0)]
        await to_thread.run_sync(store.flush)
    both = (await get(client, "/api/lag", topic="orders"))["series"]
    assert [series["group"] for series in both] == ["audit", "billing"]
    assert await get(client, "/api/lag", topic="nothing") == {"series": []}
    assert await refusal(client, "/api/lag") == (400, "topic")
    past = await get(client, "/api/topology", **{"from": NOW - 60, "to": NOW - 20})
    assert [partition["behind"] for partition in past["lag"]] == [100, 10]


async def shop(client: Client) -> None:
    """Report a pathway through three services, which splits: some invoices are shipped, all are archived."""
    ordered = await report(client, "shop", ORDERS, 0.0)
    read = await report(client, "billing", FROM_ORDERS, 1.0, parent=ordered)
    billed = await report(client, "billing", INVOICES, 7.0, parent=read)
    await report(client, "shipping", FROM_INVOICES, 2.0, parent=billed)
    await report(client, "archive", ("direction:in", "topic:invoices", "type:kafka"), 0.5, parent=billed)


async def test_pathways_through_service_are_listed_slowest_first(client: Client) -> None:
    await shop(client)
    slowest, other = (await get(client, "/api/pathways", service="billing", env=""))["pathways"]
    assert [hop["service"] for hop in slowest["hops"]] == ["shop", "billing", "billing", "shipping"]
    assert [hop["service"] for hop in other["hops"]] == ["shop", "billing", "billing", "archive"]
    assert [hop["share"] for hop in slowest["hops"]] == pytest.approx([0, 0.1, 0.7, 0.2], rel=0.02)
    assert sum(hop["share"] for hop in other["hops"]) == pytest.approx(1)
    assert [hop["mean"] for hop in slowest["hops"]] == [None, *(pytest.approx(mean, rel=0.008) for mean in (1, 7, 2))]
    assert slowest["end_to_end"]["p50"] == pytest.approx(4.0, rel=0.008)
    assert slowest["count"] == 10
    assert [hop["count"] for hop in slowest["hops"]] == [10, 10, 10, 10]
    ids = {edge["id"] for edge in (await client.topology())["edges"]}
    assert {hop["edge"] for hop in slowest["hops"]} < ids
    found = [
        len((await get(client, "/api/pathways", **node))["pathways"])
        for node in (
            {"service": "shop"},
            {"service": "shipping"},
            {"service": "nobody"},
            {"service": "billing", "env": "prod"},
            {"queue": "orders", "type": "kafka"},
            {"queue": "invoices", "type": "rabbitmq"},
        )
    ]
    assert found == [2, 1, 0, 0, 2, 0]


async def test_pathways_without_node_or_with_two_are_rejected(client: Client) -> None:
    assert await refusal(client, "/api/pathways") == (400, "service")
    assert await refusal(client, "/api/pathways", service="a", queue="b") == (400, "service")


async def test_circular_and_truncated_pathways_are_answered(client: Client) -> None:
    around = [point(Hash=1, ParentHash=2), point(Hash=2, ParentHash=1), point(Hash=3, ParentHash=2)]
    body = payload(bucket(*around, point(Hash=4, ParentHash=99)))
    assert (await client.report(body)).status_code == 202
    shown = (await get(client, "/api/pathways", service="foreign"))["pathways"]
    assert sorted((row["hash"], len(row["hops"])) for row in shown) == [("3", 3), ("4", 1)]


async def test_many_zero_latencies_mark_clocks_that_disagree(client: Client) -> None:
    half = encode({ZERO: 2, 1338: 2})
    zeros = {"EdgeLatency": half, "EdgeTags": list(FROM_ORDERS)}
    for service, parent in (("origin", 0), ("ahead", 7)):
        await client.report(payload(bucket(point(ParentHash=parent, **zeros)), Service=service))
    shown = await client.topology()
    assert {edge["service"]: edge["clamped"] for edge in shown["edges"]} == {"origin": 0, "ahead": 0.5}
    expected = {"origin": False, "ahead": True}
    assert {edge["service"]: edge["clocks_disagree"] for edge in shown["edges"]} == expected
    assert {row["name"]: row["clocks_disagree"] for row in shown["services"]} == expected


async def test_zero_latencies_within_one_process_say_nothing_about_clocks(client: Client) -> None:
    zeros = point(ParentHash=7, EdgeLatency=encode({ZERO: 4}), EdgeTags=list(ORDERS))
    await client.report(payload(bucket(zeros)))
    (edge,) = (await client.topology())["edges"]
    assert (edge["count"], edge["clamped"], edge["clocks_disagree"]) == (4, 0, False)


async def test_services_silent_for_long_are_left_out(client: Client) -> None:
    at = NOW_NS - 30 * MINUTE_NS
    await client.report(payload(bucket(point(), Start=at)))
    names = [row["name"] for row in (await client.topology(60))["services"]]
    assert names == ["foreign"]
    past = await get(client, "/api/topology", **{"from": NOW + 60, "to": NOW + 120})
    assert past["services"] == []


async def test_stored_payload_sends_a_live_event(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_events, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(live_events, "HEARTBEAT_SECONDS", 0.1)
    with anyio.fail_after(60):
        async with client.stream("GET", "/api/live") as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            assert await anext(lines) == ": asyncdsm"
            while await anext(lines) != ": still here":
                pass
            await report(client, "shop", ORDERS, 1.0)
            while await anext(lines) != "event: change":
                pass
            name, _, data = (await anext(lines)).partition(": ")
            assert (name, json.loads(data)) == ("data", {"payloads": 1, "now": NOW})
        while "live_streams 0" not in (await client.get("/api/metrics")).text:
            await anyio.sleep(0.02)


async def test_stream_beyond_the_limit_is_rejected_with_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_events, "MOST_STREAMS", 0)
    assert await refusal(client, "/api/live") == (503, "streams")


async def test_health_and_metrics_count_payloads(client: Client) -> None:
    await report(client, "shop", ORDERS, 1.0)
    await client.report(b"\xc1")
    health = await get(client, "/api/health")
    assert health.pop("growth")["bytes_a_day"] == 0
    assert health == {
        "status": "ok",
        "payloads": 1,
        "rows": 1,
        "forgotten_rows": 0,
        "ignored_rows": 0,
        "clamped_buckets": 0,
        "refused": 1,
        "repeated": 0,
        "negative_latencies": 0,
        "unread": {},
    }
    answer = await client.get("/api/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert "asyncdsm_agent_payloads_total 1.0" in lines
    assert 'asyncdsm_agent_intake_answers_total{status="202"} 1.0' in lines
    assert 'asyncdsm_agent_intake_answers_total{status="400"} 1.0' in lines


@pytest.mark.parametrize("service", ["", None], ids=["empty", "null"])
async def test_service_without_name_gets_a_default_name(client: Client, service: str | None) -> None:
    assert (await client.report(payload(bucket(point()), Service=service))).status_code == 202
    assert [edge["service"] for edge in (await client.topology())["edges"]] == ["unnamed-service"]
    assert len((await get(client, "/api/pathways", service="unnamed-service"))["pathways"]) == 1


async def test_queue_and_topic_with_empty_name_can_be_queried(client: Client) -> None:
    tags = ["topic:", "partition:0"]
    backlogs = [
        {"Tags": ["type:kafka_produce", *tags], "Value": 9},
        {"Tags": ["type:kafka_commit", "consumer_group:g", *tags], "Value": 1},
    ]
    await client.report(payload(bucket(point(EdgeTags=["type:kafka", "topic:", "direction:out"]), Backlogs=backlogs)))
    assert len((await get(client, "/api/pathways", queue="", type="kafka"))["pathways"]) == 1
    assert len((await get(client, "/api/lag", topic=""))["series"]) == 1
    assert (await get(client, "/api/pathways", service=""))["pathways"] == []
