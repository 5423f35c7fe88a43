"""`/api/metrics`: what passed each edge, for Prometheus."""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.metrics import families, histogram_totals, link_totals, traffic_totals
from asyncdsm.agent.metrics.families import traffic_families
from asyncdsm.agent.metrics.formats import PROTOBUF
from asyncdsm.agent.metrics.histogram_totals import HistogramTotals
from asyncdsm.agent.metrics.traffic_totals import TrafficTotals
from asyncdsm.agent.store.histograms import LARGEST_BIN
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.sketch import encode
from tests.agent.payloads import NOW, NOW_NS, SECOND_NS, Client, bucket, ours, passed, payload, point

OUT = Edge("direction:out", "topic:orders", "type:kafka")
IN = Edge("direction:in", "group:billing", "topic:orders", "type:kafka")
ON = Edge("direction:out", "exchange:invoices", "type:rabbitmq")

Labels = frozenset[tuple[str, str]]


async def scrape(client: Client) -> dict[str, dict[Labels, float]]:
    """Return the value of each sample by its name and its labels, without empty ones."""
    answer = await client.get("/api/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = frozenset((name, value) for name, value in sample.labels.items() if value)
            assert labels not in found.setdefault(sample.name, {}), "two samples have the same labels"
            found[sample.name][labels] = sample.value
    return found


def labels(service: str, operation: str, system: str, queue: str, group: str = "", **more: str) -> Labels:
    named = {
        "service_name": service,
        "messaging_operation_type": operation,
        "messaging_system": system,
        "messaging_destination_name": queue,
        "messaging_consumer_group_name": group,
        **more,
    }
    return frozenset((name, value) for name, value in named.items() if value)


async def report_pipeline(client: Client) -> None:
    """Report from shop over billing to an exchange: 3 orders, of which 2 were read after 0.2 s, invoices after 2 s."""
    hashes = dict[str, int]()

    def shop(aggregator: Aggregator) -> None:
        hashes["shop"] = passed(aggregator, OUT, [0, 0, 0], size=100)

    def billing(aggregator: Aggregator) -> None:
        hashes["billing"] = passed(aggregator, IN, [0.2, 0.2], parent=hashes["shop"], size=120)
        passed(aggregator, ON, [2.0], parent=hashes["billing"])

    for body in [*ours(shop, "shop"), *ours(billing, "billing", "prod")]:
        assert (await client.report(body, gzipped=True)).status_code == 202


async def test_lag_is_told_in_messages_and_in_seconds(client: Client) -> None:
    for ago, produced in ((40, 9), (30, 19)):
        backlogs = [
            {"Tags": ["type:kafka_produce", "topic:orders", "partition:0"], "Value": produced},
            {"Tags": ["type:kafka_commit", "consumer_group:billing", "topic:orders", "partition:0"], "Value": 10},
        ]
        body = payload(bucket(Start=NOW_NS - ago * SECOND_NS, Backlogs=backlogs))
        assert (await client.report(body)).status_code == 202
    found = await scrape(client)
    partition = {
        "messaging_consumer_group_name": "billing",
        "messaging_destination_name": "orders",
        "messaging_destination_partition_id": "0",
    }
    assert found["asyncdsm_consumer_lag"] == {frozenset(partition.items()): 10}
    assert found["asyncdsm_consumer_lag_seconds"] == {frozenset(partition.items()): 9.5}


async def test_messages_are_counted_by_edge(client: Client) -> None:
    await report_pipeline(client)
    found = await scrape(client)
    prod = {"deployment_environment_name": "prod"}
    assert found["messaging_client_sent_messages_total"] == {
        labels("shop", "send", "kafka", "orders"): 3,
        labels("billing", "send", "rabbitmq", "invoices", **prod, messaging_destination_kind="exchange"): 1,
    }
    assert found["messaging_client_consumed_messages_total"] == {
        labels("billing", "receive", "kafka", "orders", "billing", **prod): 2
    }
    assert found["asyncdsm_message_size_bytes_count"] == {
        labels("shop", "send", "kafka", "orders"): 3,
        labels("billing", "receive", "kafka", "orders", "billing", **prod): 2,
    }
    assert found["asyncdsm_message_size_bytes_sum"][labels("shop", "send", "kafka", "orders")] == pytest.approx(
        300, rel=0.008
    )


async def test_latencies_fall_into_buckets(client: Client) -> None:
    await report_pipeline(client)
    found = await scrape(client)
    edge = labels("billing", "receive", "kafka", "orders", "billing", deployment_environment_name="prod")
    buckets = {
        dict(each)["le"]: value
        for each, value in found["asyncdsm_queue_duration_seconds_bucket"].items()
        if edge <= each
    }
    assert buckets == {
        **dict.fromkeys(("0.001", "0.005", "0.01", "0.05", "0.1"), 0),
        **dict.fromkeys(("0.5", "1.0", "5.0", "10.0", "30.0", "60.0", "300.0", "900.0", "3600.0", "+Inf"), 2),
    }
    assert found["asyncdsm_queue_duration_seconds_sum"][edge] == pytest.approx(0.4, rel=0.008)
    assert found["asyncdsm_pathway_duration_seconds_sum"][edge] == pytest.approx(0.8, rel=0.008)


async def test_message_that_begins_a_pathway_has_no_time_in_the_service(client: Client) -> None:
    await report_pipeline(client)
    counts = (await scrape(client))["asyncdsm_process_duration_seconds_count"]
    assert counts == {
        labels(
            "billing",
            "send",
            "rabbitmq",
            "invoices",
            deployment_environment_name="prod",
            messaging_destination_kind="exchange",
        ): 1,
    }


async def test_message_without_a_context_has_the_times_that_it_has_on_the_map(client: Client) -> None:
    def audit(aggregator: Aggregator) -> None:
        passed(aggregator, IN, [0.0, 0.0, 0.2])
        passed(aggregator, ON, [0.0, 1.0])

    for body in ours(audit, "audit"):
        assert (await client.report(body, gzipped=True)).status_code == 202
    found, edges = await scrape(client), (await client.get("/api/topology")).json()["edges"]
    assert [found[f"asyncdsm_{name}_duration_seconds_count"] for name in ("queue", "process")] == [
        {labels("audit", "receive", "kafka", "orders", "billing"): 1},
        {frozenset({*labels("audit", "send", "rabbitmq", "invoices"), ("messaging_destination_kind", "exchange")}): 1},
    ]
    assert found["messaging_client_consumed_messages_total"] == {
        labels("audit", "receive", "kafka", "orders", "billing"): 3
    }
    assert {each["queue"]: each["edge_latency"]["p50"] for each in edges} == {
        "orders": pytest.approx(0.2, rel=0.01),
        "invoices": pytest.approx(1.0, rel=0.01),
    }


async def test_service_graph_links_who_writes_to_who_reads(client: Client) -> None:
    await report_pipeline(client)
    found = await scrape(client)
    link = frozenset(
        {
            ("client", "shop"),
            ("server", "billing"),
            ("deployment_environment_name", "prod"),
            ("connection_type", "messaging_system"),
        }
    )
    assert found["traces_service_graph_request_total"] == {link: 2}
    assert found["traces_service_graph_request_messaging_system_seconds_sum"][link] == pytest.approx(0.4, rel=0.008)
    assert found["traces_service_graph_request_server_seconds_sum"][link] == pytest.approx(2.0, rel=0.008)


async def test_counts_only_grow(client: Client) -> None:
    await report_pipeline(client)
    first = (await scrape(client))["messaging_client_sent_messages_total"]
    assert first[labels("shop", "send", "kafka", "orders")] == 3

    def more(aggregator: Aggregator) -> None:
        passed(aggregator, OUT, [0])

    for body in ours(more, "shop"):
        await client.report(body, gzipped=True)
    after = (await scrape(client))["messaging_client_sent_messages_total"]
    assert after[labels("shop", "send", "kafka", "orders")] == 4


async def test_names_from_outside_are_escaped(client: Client) -> None:
    hostile = 'or"ders\\\n# TYPE x'

    def record(aggregator: Aggregator) -> None:
        passed(aggregator, Edge("direction:out", f"topic:{hostile}", "type:kafka"), [0])

    for body in ours(record, "shop"):
        await client.report(body, gzipped=True)
    found = await scrape(client)
    assert found["messaging_client_sent_messages_total"] == {labels("shop", "send", "kafka", hostile): 1}


async def test_edges_beyond_the_limit_are_left_out_and_counted(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert traffic_totals.MOST_EDGES == 5_000

    def record(aggregator: Aggregator) -> None:
        for number in range(5_003):
            passed(aggregator, Edge("direction:out", f"topic:t{number}", "type:kafka"), [0, 0])

    for body in ours(record, "shop"):
        assert (await client.report(body, gzipped=True)).status_code == 202
    found = await scrape(client)
    assert len(found["messaging_client_sent_messages_total"]) == 5_000
    assert found["asyncdsm_left_out_messages_total"] == {frozenset(): 6}


def test_links_beyond_the_limit_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert link_totals.MOST_LINKS == 5_000
    monkeypatch.setattr(link_totals, "MOST_LINKS", 2)
    store, hashes = SQLiteStore(now=lambda: NOW), list[int]()
    totals = TrafficTotals(lambda: 0.0, store.points)

    def write(aggregator: Aggregator) -> None:
        hashes.append(passed(aggregator, OUT, [0]))

    def read(aggregator: Aggregator) -> None:
        for parent in hashes:
            passed(aggregator, IN, [1, 1], parent=parent)

    for service, record in (("shop", write), ("mail", write), ("billing", read), ("audit", read)):
        for body in ours(record, service):
            store.add(report := read_report(body, "gzip"))
            totals.add(report)
    traffic = totals.read()
    assert [(link.key.client, link.key.server) for link in traffic.links] == [("shop", "billing"), ("mail", "billing")]
    (count,) = [each for each in traffic_families(traffic) if each.name == "asyncdsm_left_out_link_messages"]
    assert [sample.value for sample in count.samples] == [4]


async def test_partitions_beyond_the_limit_are_left_out_and_counted(client: Client) -> None:
    assert families.MOST_LAGS == 5_000
    backlogs = list[dict[str, Any]]()
    for number in range(5_003):
        tags = ["topic:orders", f"partition:{number}"]
        backlogs.append({"Tags": ["type:kafka_produce", *tags], "Value": 20 + number})
        backlogs.append({"Tags": ["type:kafka_commit", "consumer_group:billing", *tags], "Value": 10})
    body = payload(bucket(Start=NOW_NS - 30 * SECOND_NS, Backlogs=backlogs))
    assert (await client.report(body)).status_code == 202
    found = await scrape(client)
    assert min(found["asyncdsm_consumer_lag"].values()) == 14
    assert len(found["asyncdsm_consumer_lag"]) == 5_000
    assert found["asyncdsm_left_out_lags"] == {frozenset(): 3}


async def test_payload_that_cannot_be_counted_is_stored_and_accepted(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("no numbers today")

    monkeypatch.setattr(TrafficTotals, "_count", fail)
    await report_pipeline(client)
    assert {edge["service"] for edge in (await client.topology())["edges"]} == {"shop", "billing"}
    assert (
        "could not count a payload of service 'shop' in its metrics: ArithmeticError('no numbers today')" in caplog.text
    )


async def test_largest_numbers_that_a_sketch_has_can_be_scraped(client: Client) -> None:
    largest = {LARGEST_BIN: 1e15}
    body = payload(bucket(point(EdgeTags=list(IN.tags), EdgeLatency=encode(largest), PathwayLatency=encode(largest))))
    for _ in range(2):
        answer = await client.get("/api/metrics", headers={"Accept": PROTOBUF.content_type})
        assert answer.headers["Content-Type"] == PROTOBUF.content_type
        assert (await client.report(body)).status_code == 202
    assert (await client.get("/api/metrics", headers={"Accept": PROTOBUF.content_type})).status_code == 200
    found = await scrape(client)
    assert set(found["asyncdsm_queue_duration_seconds_sum"].values()) == {inf}
    assert set(found["messaging_client_consumed_messages_total"].values()) == {2e15}


def test_idle_key_gives_way_to_a_new_one() -> None:
    now, zero, one = [0.0], np.zeros(1, np.int64), np.ones(1)
    totals = HistogramTotals[str](1, 2, lambda: now[0])
    refused = [totals.add([key], zero, zero, one, one).tolist() for key in ("a", "b", "c")]
    assert refused == [[False], [False], [True]]
    assert [total.key for total in totals.totals()] == ["a", "b"]
    now[0] = histogram_totals.IDLE_SECONDS
    for key in ("b", "c"):
        assert not totals.add([key], zero, zero, one, one).any()
    assert {total.key: sum(total.buckets[0]) for total in totals.totals()} == {"b": 2, "c": 1}
    assert {total.key: total.since for total in totals.totals()} == {"b": 0, "c": histogram_totals.IDLE_SECONDS}
