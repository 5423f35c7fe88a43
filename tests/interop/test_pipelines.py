"""Each tracer beside asyncdsm, at each of its brokers: what one of them sends, the other continues."""

from __future__ import annotations

import gzip
from time import sleep

import httpx2
from msgspec.msgpack import decode

from tests.agent.running import agent
from tests.intake import running_intake
from tests.interop.chain import count_hashes, count_parents, expected_hops, find_points, find_queues
from tests.interop.pipelines import COUNT
from tests.interop.receiver import datadog_receiver
from tests.interop.running import Outcome

KEPT = ("content-encoding", "content-type", "datadog-")


def select_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return those that say something of the payload, and not of the connection on which it came."""
    return {name: value for name, value in headers.items() if name.startswith(KEPT)}


def test_each_checkpoint_counts_every_message_once(outcome: Outcome) -> None:
    points = find_points(outcome.topology)
    counts = {hop: sum(point["count"] for point in found) for hop, found in points.items()}
    assert counts == dict.fromkeys(expected_hops(outcome.steps), COUNT)


def test_parent_of_each_checkpoint_is_the_checkpoint_before(outcome: Outcome) -> None:
    """Each hash comes out of a checkpoint as often as it goes into the next."""
    points = find_points(outcome.topology)
    forgetful = {step.service for step in outcome.steps if step.source.partition(":")[0] in step.relay.forgets}
    start = before = {"0": float(COUNT)}
    for hop in expected_hops(outcome.steps):
        begins = hop.direction == "out" and hop.service in forgetful
        assert count_parents(points[hop]) == (start if begins else before), hop
        before = count_hashes(points[hop])
    hashes = [point["hash"] for found in points.values() for point in found]
    assert len(set(hashes)) == len(hashes)


def test_writer_and_reader_have_the_same_queue_on_the_map(outcome: Outcome) -> None:
    queues, hops = find_queues(outcome.topology), expected_hops(outcome.steps)
    assert [queues[writer] for writer in hops[::2]] == [queues[reader] for reader in hops[1::2]]
    assert len(outcome.topology["queues"]) == len(outcome.steps) - 1


def test_latencies_are_neither_negative_nor_longer_than_the_run(outcome: Outcome) -> None:
    for points in find_points(outcome.topology).values():
        for point in points:
            for latency in (point["edge_latency"], point["pathway_latency"]):
                if point["parent"] == "0" and latency["p50"] is None:
                    continue  # the pathway begins here
                assert 0 <= latency["p50"] <= latency["p99"] <= latency["max"] <= outcome.seconds
    assert outcome.health["negative_latencies"] == 0


def test_agent_takes_every_payload_whole(outcome: Outcome) -> None:
    services = {decode(gzip.decompress(sent.body))["Service"] for sent in outcome.sent}
    assert services == {step.service for step in outcome.steps}
    health = outcome.health
    assert health["payloads"] == health["forwarded"]["recorded"] == len(outcome.sent)
    assert (health["refused"], health["repeated"], health["unread"], health["clamped_buckets"]) == (0, 0, {}, 0)
    assert health["status"] == "ok"


def test_receiver_of_datadog_forwards_every_payload_unchanged_after_asyncdsms_agent(outcome: Outcome) -> None:
    sent = [(body, select_headers(headers)) for headers, body in outcome.sent]
    assert sent
    with running_intake() as intake, datadog_receiver(intake.url) as url, agent(forward=url) as own:
        for body, headers in sent:
            httpx2.post(f"{own.url}/v0.1/pipeline_stats", content=body, headers=headers).raise_for_status()
        while httpx2.get(f"{own.url}/api/health").json()["forwarded"]["pending"]:
            sleep(0.02)
    received = [(body, headers) for *_, headers, body in intake.requests]
    assert [body for body, _ in received] == [body for body, _ in sent]
    assert all(now.items() >= before.items() for (_, now), (_, before) in zip(received, sent, strict=True))
