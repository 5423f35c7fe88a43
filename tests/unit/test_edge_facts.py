"""Facts about messages: counted per edge and bucket, bounded, and in no other process."""

import gzip
import os
from threading import Thread

import pytest

from asyncdsm import Settings
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.counters import Counters
from asyncdsm.core.edge import Edge
from asyncdsm.core.edge_facts import MOST_SCHEMAS, FactLog
from asyncdsm.delivery.agent_packer import AgentPacker
from asyncdsm.delivery.bucket_packer import BucketPacker
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.delivery.outbox import Outbox
from asyncdsm.delivery.payload import WireBucket, WireSchema, pack, unpack
from asyncdsm.integration import count_deliveries, note_schema
from asyncdsm.streams import DataStreams
from asyncdsm.testing import ManualClock, capture

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def log(clock: ManualClock) -> FactLog:
    return FactLog(clock)


def test_facts_are_counted_per_edge_and_bucket(log: FactLog, clock: ManualClock) -> None:
    one, other = Edge("topic:one"), Edge("topic:other")
    log.count_deliveries(one, redelivered=True, dead_lettered=False)
    log.count_deliveries(one, redelivered=True, dead_lettered=True)
    log.count_deliveries(other, redelivered=False, dead_lettered=True)
    clock.advance(10)
    log.count_deliveries(one, redelivered=True, dead_lettered=False)
    first, second = log.take(None)
    assert (first.start_ns, second.start_ns) == (START, START + 10 * SECOND)
    counts = {edge: (facts.redelivered, facts.dead_lettered) for edge, facts in first.edges.items()}
    assert counts == {one: (2, 1), other: (0, 1)}
    assert [facts.redelivered for facts in second.edges.values()] == [1]
    assert (first.count_facts(), second.count_facts()) == (4, 1)
    assert log.take(None) == []


def test_waits_have_a_count_a_sum_and_a_maximum(log: FactLog, clock: ManualClock) -> None:
    edge, received = Edge("topic:one"), clock()
    for _ in range(3):
        clock.advance(1)
        log.count_wait(edge, received)
    (batch,) = log.take(None)
    (facts,) = batch.edges.values()
    assert (facts.waits, facts.wait_ns, facts.longest_wait_ns) == (3, 6 * SECOND, 3 * SECOND)


def test_a_clock_that_was_set_back_makes_no_wait_negative(log: FactLog, clock: ManualClock) -> None:
    edge = Edge("topic:one")
    log.count_wait(edge, clock() + SECOND)
    (batch,) = log.take(None)
    (facts,) = batch.edges.values()
    assert (facts.waits, facts.wait_ns, facts.longest_wait_ns) == (1, 0, 0)


def test_only_buckets_that_ended_are_taken(log: FactLog, clock: ManualClock) -> None:
    log.count_wait(Edge("topic:one"), clock())
    assert log.take(clock()) == []
    clock.advance(10)
    log.count_wait(Edge("topic:one"), clock())
    assert [batch.start_ns for batch in log.take(clock())] == [START]
    assert [batch.start_ns for batch in log.take(None)] == [START + 10 * SECOND]


def test_facts_after_a_bucket_was_taken_unfinished_are_in_another_batch(log: FactLog, clock: ManualClock) -> None:
    edge = Edge("topic:one")
    log.count_wait(edge, clock())
    log.take(None)
    log.count_wait(edge, clock())
    assert [batch.count_facts() for batch in log.take(None)] == [1]


def test_facts_of_too_many_edges_are_dropped_and_counted(clock: ManualClock) -> None:
    log = FactLog(clock, most_edges=2)
    for number in range(4):
        log.count_deliveries(Edge(f"topic:{number}"), redelivered=True, dead_lettered=True)
        log.count_wait(Edge(f"topic:{number}-batch"), clock())
    (batch,) = log.take(None)
    assert (len(batch.edges), batch.count_facts()) == (2, 3)
    assert (log.take_dropped(), log.take_dropped()) == (9, 0)
    log.count_wait(Edge("topic:later"), clock())
    assert log.take_dropped() == 0


def test_schemas_of_an_edge_are_bounded(log: FactLog) -> None:
    edge = Edge("topic:one")
    for number in range(MOST_SCHEMAS + 2):
        log.note_schema(edge, number, "orders-value")
        log.note_schema(edge, 0, "orders-value")
    (batch,) = log.take(None)
    assert list(batch.edges[edge].schemas) == [(number, "orders-value") for number in range(MOST_SCHEMAS)]
    assert log.take_dropped() == 2


def test_no_wait_is_lost_while_another_thread_takes(clock: ManualClock) -> None:
    log, edge, taken = FactLog(clock), Edge("topic:one"), list[int]()

    def count_waits() -> None:
        for _ in range(20_000):
            log.count_wait(edge, START)

    threads = [Thread(target=count_waits) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += [batch.count_facts() for batch in log.take(None)]
    taken += [batch.count_facts() for batch in log.take(None)]
    assert sum(taken) == 40_000


def test_payload_has_facts_beside_the_points_of_their_bucket(clock: ManualClock) -> None:
    aggregator = Aggregator("billing", None, now=clock)
    edge = Edge("direction:in", "topic:orders", "type:sqs")
    aggregator.record(aggregator.point(edge, 0), clock(), SECOND, SECOND, 5)
    aggregator.facts.count_deliveries(edge, redelivered=True, dead_lettered=True)
    aggregator.facts.count_wait(edge, clock() - SECOND)
    aggregator.facts.note_schema(edge, 17, "orders-value")
    buckets = pack_all(aggregator, clock)
    assert [len(bucket.stats or ()) for bucket in buckets] == [1]
    (facts,) = buckets[0].asyncdsm_facts or []
    assert (facts.edge_tags, facts.redelivered, facts.dead_lettered) == (list(edge.tags), 1, 1)
    assert (facts.waits, facts.wait_ns, facts.longest_wait_ns) == (1, SECOND, SECOND)
    assert facts.schemas == [WireSchema(17, "orders-value")]


def test_facts_without_a_checkpoint_in_their_bucket_are_sent_too(clock: ManualClock) -> None:
    aggregator = Aggregator("billing", None, now=clock)
    aggregator.facts.count_wait(Edge("topic:orders"), clock())
    (bucket,) = pack_all(aggregator, clock)
    assert (bucket.start, bucket.stats, len(bucket.asyncdsm_facts or ())) == (START, [], 1)


def test_payload_without_facts_has_no_field_for_them(clock: ManualClock) -> None:
    body = gzip.decompress(pack(Bucket(clock()), 10 * SECOND, Settings(service="billing")).body)
    assert b"AsyncdsmFacts" not in body


def pack_all(aggregator: Aggregator, clock: ManualClock) -> list[WireBucket]:
    """Return the buckets of the payloads that an aggregator has after ten seconds."""
    outbox, packed = Outbox(1 << 20, aggregator.counters), list[WireBucket]()
    settings = Settings(service=aggregator.service)
    packer = AgentPacker(aggregator, settings, outbox)
    packer.import_encoder()
    clock.advance(10)
    BucketPacker(aggregator, settings, [packer]).pack_buckets(unfinished=False, lags=[])
    while (parcel := outbox.dequeue()) is not None:
        packed += unpack(gzip.decompress(parcel.payload)).stats or ()
    return packed


def test_facts_dropped_do_not_disturb_the_balance_of_checkpoints(clock: ManualClock) -> None:
    counters = Counters()
    aggregator = Aggregator("billing", None, max_points=1, now=clock, counters=counters)
    for number in range(3):
        aggregator.facts.count_wait(Edge(f"topic:{number}"), clock())
    stats = aggregator.stats()
    assert (stats.facts_dropped, stats.recorded, stats.pending, stats.dropped) == (2, 0, 0, 0)


def test_facts_are_delivered_when_the_program_ends() -> None:
    exporter = MemoryExporter()
    with DataStreams(Settings(service="billing"), exporter=exporter) as streams:
        count_deliveries(Edge("topic:orders"), redelivered=True)
    buckets = [bucket for payload in exporter.payloads for bucket in payload.stats or ()]
    facts = [each for bucket in buckets for each in bucket.asyncdsm_facts or ()]
    assert [(each.edge_tags, each.redelivered) for each in facts] == [(["topic:orders"], 1)]
    assert streams.stats.facts_dropped == 0


def test_forked_child_has_no_facts_of_its_parent() -> None:
    with DataStreams(Settings(service="billing"), exporter=MemoryExporter()) as streams:
        count_deliveries(Edge("topic:orders"), redelivered=True)
        child = os.fork()
        if child == 0:
            os._exit(0 if streams._aggregator is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_facts_of_a_program_that_does_not_measure_are_ignored() -> None:
    count_deliveries(Edge("topic:orders"), redelivered=True)
    note_schema(Edge("topic:orders"), 1, "")
    with capture() as captured:
        count_deliveries(Edge("topic:orders"), redelivered=False, dead_lettered=False)
        assert captured.facts.take(None) == []
