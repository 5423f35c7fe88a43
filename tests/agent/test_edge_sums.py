"""Sums by edge are those of all rows, whatever was kept of them, and whenever it was asked for."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from asyncdsm.agent.store.clickhouse import sum_reader as clickhouse_sum_reader
from asyncdsm.agent.store.edge_sums import EdgeSums
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, Ints, decode_key, encode_key
from asyncdsm.agent.store.merger import Rows
from asyncdsm.agent.store.reports import BucketReport, PointReport, Report
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, FOREVER, RESOLUTIONS, TimeRange
from asyncdsm.agent.store.sqlite import sum_reader
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import ZERO
from tests.agent.payloads import NOW
from tests.agent.stores import AnyStore, OpenStore

SERVICES, EDGES, PATHWAYS = 3, 3, 4
BEGAN = int(NOW) // 3600 * 3600
Cells = Mapping[object, float]
in_each = pytest.mark.parametrize("open_store", ["memory", "file", "clickhouse"], indirect=True)


class Clock:
    """The time, as the test sets it."""

    def __init__(self) -> None:
        self.now = float(BEGAN)

    def __call__(self) -> float:
        return self.now


def report(chance: random.Random, now: float) -> Report:
    """Return what a service reports of some of its points, now or late."""
    service, keys, points = chance.randrange(SERVICES), list[int](), list[PointReport]()
    for _ in range(chance.randint(1, 4)):
        edge, pathway = chance.randrange(EDGES), chance.randrange(PATHWAYS)
        tags = f"direction:{'in' if edge else 'out'}", f"topic:{edge}", "type:kafka"
        points.append(PointReport(tags, 100 * edge + pathway, pathway % 2 and 7))
        bins = [chance.choice([ZERO, 0, 5, 900]) for _ in range(chance.randint(0, 3))]
        keys += [encode_key(len(points) - 1, sketch, bin_) for sketch in (EDGE, PATHWAY, SIZE) for bin_ in bins]
    start = int(now) - chance.choice([0, 0, 0, 10, 20, 90, 700, 4_000])
    buckets = [BucketReport(start * 10**9, 10**10, points, [])]
    counts = [float(chance.choice([1, 2, 300])) for _ in keys]
    return Report(f"s{service}", "", "go", "", buckets, Histograms(np.array(keys, np.int64), np.array(counts)))


def cells_of(sums: EdgeSums) -> Cells:
    """Return the counts of each edge and class by cell, and those of each point."""
    found = Counter[object]()
    for key, count in zip(sums.histograms.keys.tolist(), sums.histograms.counts.tolist(), strict=True):
        group, sketch, bin_ = decode_key(key)
        label = int(sums.labels[group])
        found[sums.edges[label // 2], label % 2, sketch, bin_] += count
    found.update(dict(zip(sums.points.tolist(), sums.counts.tolist(), strict=True)))
    return found


def plainly(store: AnyStore, time_range: TimeRange, coarsest: int) -> dict[int, Counter[object]]:
    """Return the same by start, from all rows, one count after the other."""

    def label(rows: Rows) -> Ints:
        return rows.starts << 24 | rows.points

    labels, histograms = store.merge_rows(time_range, label, coarsest=coarsest)
    found = dict[int, Counter[object]]()
    for number in labels.tolist():
        found.setdefault(number >> 24, Counter())[number & 0xFFFFFF] = 0
    for key, count in zip(histograms.keys.tolist(), histograms.counts.tolist(), strict=True):
        group, sketch, bin_ = decode_key(key)
        start, point = divmod(int(labels[group]), 1 << 24)
        known = store.points.keys[point]
        found[start][known.edge, int(known.parent == 0), sketch, bin_] += count
        found[start][point] += count if sketch == EDGE else 0
    return found


@in_each
@pytest.mark.parametrize("seed", range(2))
def test_sums_are_those_of_all_rows(open_store: OpenStore, seed: int) -> None:
    chance, clock = random.Random(seed), Clock()
    store = open_store(now=clock)
    for _ in range(35 if isinstance(store, SQLiteStore) else 10):
        for _ in range(chance.randint(0, 3)):
            store.add(report(chance, clock.now))
        if chance.random() < 0.5:
            store.flush()
        clock.now += chance.choice([0, 1, 5, 10, 60, 300, 3_000])
        first = clock.now - chance.choice([60, 600, 660, 3_600, 90_000])
        time_range = TimeRange(first // 60 * 60, chance.choice([FOREVER, clock.now - 30]))
        coarsest = chance.choice(RESOLUTIONS)
        expected = plainly(store, time_range, coarsest)
        by_start = store.sum_edges_by_start(time_range, coarsest=coarsest)
        assert {start: dict(cells_of(sums)) for start, sums in by_start.items()} == {
            start: dict(cells) for start, cells in expected.items()
        }
        assert list(by_start) == sorted(by_start)
        total = cells_of(store.sum_edges(time_range, coarsest=coarsest))
        whole = Counter[object]()
        for cells in expected.values():
            whole.update(cells)
        assert dict(total) == dict(whole)


@in_each
@pytest.mark.parametrize(("name", "value"), [("MOST_BYTES", 2_000), ("MOST_NUMBERS", 5), ("_COUNTS_AT_ONCE", 3)])
def test_sums_are_right_when_few_are_kept(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    for reader in (sum_reader, clickhouse_sum_reader):
        monkeypatch.setattr(reader, name, value, raising=name != "_COUNTS_AT_ONCE")
    test_sums_are_those_of_all_rows(open_store, 7)


@in_each
def test_sums_of_no_rows_are_empty(open_store: OpenStore) -> None:
    store = open_store(now=Clock())
    assert cells_of(store.sum_edges(TimeRange(0, FOREVER))) == {}
    assert store.sum_edges_by_start(TimeRange(0, FOREVER), coarsest=BUCKET_SECONDS) == {}


@in_each
def test_buckets_have_another_version_once_anything_is_added(open_store: OpenStore) -> None:
    clock, chance = Clock(), random.Random(1)
    store = open_store(now=clock)
    versions = list[tuple[object, Cells]]()
    for turn in range(8):
        if turn % 2 == 0:
            store.add(report(chance, clock.now))
        if turn % 3 == 0:
            store.flush()
        bucket = store.sum_edges_by_start(TimeRange(BEGAN, BEGAN + 10)).get(BEGAN)
        again = store.sum_edges_by_start(TimeRange(BEGAN, BEGAN + 10)).get(BEGAN)
        if bucket is not None and again is not None:
            assert bucket.version == again.version is not None
            assert cells_of(bucket) == cells_of(again)
            versions.append((bucket.version, cells_of(bucket)))
    assert len({str(cells) for _, cells in versions}) <= len({version for version, _ in versions})
