"""Each tracer beside asyncdsm, at each of its brokers: what one of them sends, the other continues."""

from __future__ import annotations

import gzip
from itertools import pairwise

from msgspec.msgpack import decode

from tests.interop.chain import expected_hops, find_points, find_queues
from tests.interop.pipelines import COUNT
from tests.interop.running import Outcome


def test_each_checkpoint_counts_every_message_once(outcome: Outcome) -> None:
    counts = {hop: [point["count"] for point in points] for hop, points in find_points(outcome.topology).items()}
    assert counts == {hop: [COUNT] for hop in expected_hops(outcome.steps)}


def test_parent_of_each_checkpoint_is_the_checkpoint_before(outcome: Outcome) -> None:
    points = {hop: found[0] for hop, found in find_points(outcome.topology).items()}
    forgetful = {step.service for step in outcome.steps if step.source.partition(":")[0] in step.relay.forgets}
    before = "0"
    for hop in expected_hops(outcome.steps):
        begins = hop.direction == "out" and hop.service in forgetful
        assert points[hop]["parent"] == ("0" if begins else before), hop
        before = points[hop]["hash"]
    assert len({point["hash"] for point in points.values()}) == len(points)


def test_writer_and_reader_have_the_same_queue_on_the_map(outcome: Outcome) -> None:
    queues = find_queues(outcome.topology)
    hops = expected_hops(outcome.steps)
    for writer, reader in pairwise(hops):
        if writer.direction == "out":
            assert queues[writer] == queues[reader]
    assert len(outcome.topology["queues"]) == len(outcome.steps) - 1


def test_latencies_are_neither_negative_nor_longer_than_the_run(outcome: Outcome) -> None:
    for points in find_points(outcome.topology).values():
        for point in points:
            for latency in (point["edge_latency"], point["pathway_latency"]):
                assert 0 <= latency["p50"] <= latency["p99"] <= latency["max"] <= outcome.seconds
    assert outcome.health["negative_latencies"] == 0


def test_agent_takes_every_payload_whole(outcome: Outcome) -> None:
    services = {decode(gzip.decompress(sent.body))["Service"] for sent in outcome.sent}
    assert services == {step.service for step in outcome.steps}
    health = outcome.health
    assert health["payloads"] == health["forwarded"]["recorded"] == len(outcome.sent)
    assert (health["refused"], health["repeated"], health["unread"], health["clamped_buckets"]) == (0, 0, {}, 0)
    assert health["status"] == "ok"
