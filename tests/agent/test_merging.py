"""Values spread over payloads and minutes have the same quantiles as all of them together."""

from __future__ import annotations

import gzip
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.edge import Edge
from asyncdsm.core.histogram import MAX_BINS, bin_index, bin_value
from asyncdsm.delivery.sketch import Sketch
from tests.agent.payloads import MINUTE_NS, NOW, NOW_NS, bins_of, bucket, ours, passed, payload, point, sketch
from tests.agent.stores import AnyStore, OpenStore

OUT = Edge("direction:out", "topic:orders", "type:kafka")


def exact(values: list[float]) -> dict[str, float]:
    """Return the values at the ranks that sketches go by."""
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: ordered[int(fraction * (len(ordered) - 1))] for name, fraction in ranks.items()}


def add(store: AnyStore, values: list[float], minutes_ago: int, parent: int) -> None:
    at_ns = NOW_NS - minutes_ago * MINUTE_NS
    for body in ours(lambda aggregator: passed(aggregator, OUT, values, parent=parent), at_ns=at_ns):
        store.add(read_report(body, "gzip"))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), payloads=st.integers(1, 6))
def test_quantiles_are_merged_over_payloads_minutes_and_pathways(seed: int, payloads: int) -> None:
    chance, store, values = random.Random(seed), SQLiteStore(now=lambda: NOW), list[float]()
    for _ in range(payloads):
        part = [round(chance.lognormvariate(-3, 3), 6) + 1e-6 for _ in range(chance.randint(1, 80))]
        add(store, part, minutes_ago=chance.randrange(10), parent=chance.randrange(3))
        values += part
    (edge,) = topology(store, 10).edges
    assert edge.count == len(values)
    assert asdict(edge.edge_latency) == pytest.approx(exact(values), rel=0.008)
    assert asdict(edge.pathway_latency) == pytest.approx(exact([2 * value for value in values]), rel=0.008)


def test_topology_has_only_the_requested_minutes(open_store: OpenStore) -> None:
    store = open_store(now=lambda: NOW)
    for minutes_ago in range(5):
        add(store, [10.0**-minutes_ago], minutes_ago, parent=0)
    for minutes in range(1, 6):
        (edge,) = topology(store, minutes).edges
        assert edge.count == minutes
        assert asdict(edge.edge_latency) == pytest.approx(exact([10.0**-ago for ago in range(minutes)]), rel=0.008)


def test_pathways_are_counted_separately(open_store: OpenStore) -> None:
    store = open_store(now=lambda: NOW)
    add(store, [0.1], 0, parent=1)
    add(store, [0.4] * 3, 0, parent=2)
    shown = topology(store, 1)
    assert [edge.count for edge in shown.edges] == [4]
    assert sorted((pathway.parent, pathway.count) for pathway in shown.pathways) == [("1", 1), ("2", 3)]


def test_zero_latencies_are_counted(open_store: OpenStore) -> None:
    store = open_store(now=lambda: NOW)
    add(store, [0.0] * 3 + [1.0], 0, parent=1)
    (edge,) = topology(store, 1).edges
    assert asdict(edge.edge_latency) == {"p50": 0, "p95": 0, "p99": 0, "max": pytest.approx(1.0, rel=0.008)}


@pytest.mark.parametrize(("gamma", "offset"), [(1.02, 0.0), (1.02020202, 12.5), (1.001, -4.25), (1.0202, 1e3)])
def test_sketch_with_another_gamma_is_converted(gamma: float, offset: float) -> None:
    bins = Counter({100: 5, 300: 2, -200: 3})
    read = Sketch.decode(sketch(gamma=gamma, offset=offset, binCounts=bins))
    assert read.count == 10
    for fraction, foreign in ((0.0, -200), (0.5, 100), (1.0, 300)):
        value = gamma ** (foreign - offset) * 2 * gamma / (1 + gamma)
        assert read.quantile(fraction) == pytest.approx(value, rel=0.01)


def test_sketch_with_another_gamma_is_merged_with_the_usual_one(open_store: OpenStore) -> None:
    store = open_store(now=lambda: NOW)
    foreign = sketch(gamma=1.02, offset=0, contiguousBinCounts=[9], contiguousBinIndexOffset=0)
    ours_ = sketch(binCounts={bin_index(3.0): 9})
    for latency in (foreign, ours_, foreign):
        store.add(read_report(payload(bucket(point(EdgeLatency=latency))), ""))
    (edge,) = topology(store, 10).edges
    assert edge.count == 27
    assert edge.edge_latency.p50 == pytest.approx(1.01, rel=0.01)
    assert edge.edge_latency.p99 == pytest.approx(3, rel=0.01)


def test_compressed_payload_has_the_same_counts() -> None:
    (body,) = ours(lambda aggregator: passed(aggregator, OUT, [0.5, 1.5]))
    for encoding in ("", "identity"):
        plain, packed = read_report(gzip.decompress(body), encoding), read_report(body, "gzip")
        assert bins_of(plain) == bins_of(packed) == {bin_index(0.5): 1, bin_index(1.5): 1}


@given(parts=st.lists(st.dictionaries(st.integers(-40_000, 40_000), st.integers(1, 9), min_size=1), min_size=1))
def test_outermost_bins_are_merged_without_loss(parts: list[dict[int, int]]) -> None:
    merged = Sketch()
    for part in parts:
        merged.merge(Sketch(part))
    assert merged.count == sum(count for part in parts for count in part.values())
    assert merged.quantile(1.0) == bin_value(max(bin_ for part in parts for bin_ in part))
    assert Sketch.decode(merged.encode()).count == merged.count
    assert len(Sketch.decode(merged.encode()).bins()) <= MAX_BINS
