"""Roll-ups: any time range, read from any resolutions, has the same figures as the exact data."""

from __future__ import annotations

import random
import zlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncdsm.agent.queries.quantiles import GroupQuantiles
from asyncdsm.agent.queries.topology import points_of
from asyncdsm.agent.store.histograms import EDGE, PATHWAY, SIZE, Histograms, encode_key, merge
from asyncdsm.agent.store.packed_histograms import pack, unpack
from asyncdsm.agent.store.reports import BucketReport, PointReport, Report
from asyncdsm.agent.store.resolutions import FOREVER, RESOLUTIONS, Coverage, Slice, TimeRange, plan_slices
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import ZERO, bin_index
from tests.agent.payloads import NOW
from tests.agent.stores import OpenStore
from tests.agent.test_merging import exact

HOUR, DAY = 3600, 86_400
BEGAN = int(NOW) // DAY * DAY


class Clock:
    """The time, as the test sets it."""

    def __init__(self) -> None:
        self.now = float(BEGAN)

    def __call__(self) -> float:
        return self.now


def report(start: int, latency: float) -> Report:
    keys = [encode_key(0, sketch, bin_index(latency)) for sketch in (EDGE, PATHWAY, SIZE)]
    buckets = [BucketReport(start * 10**9, 10**10, [PointReport(("type:kafka",), 1, 0)], [])]
    return Report("s", "", "go", "", buckets, Histograms(np.array(keys, np.int64), np.ones(3)))


def filled(chance: random.Random, days: int) -> tuple[SQLiteStore, list[tuple[int, float]]]:
    """Return a store of some days, and what went into it: when, and which latency."""
    clock = Clock()
    store, data = SQLiteStore(now=clock), list[tuple[int, float]]()
    while clock.now < BEGAN + days * DAY:
        for _ in range(chance.randint(1, 3)):
            late = chance.choice([0, 0, 0, 30, 90, 700, 5_000])  # a sender that was cut off
            start, latency = max(int(clock.now) - late, BEGAN), round(chance.lognormvariate(-3, 2), 6) + 1e-6
            data.append((start, latency))
            store.add(report(start, latency))
        store.flush()
        clock.now += chance.choice([10, 10, 50, 600, 3_000, 9_000])
    for _ in range(50):  # a turn rolls up some stretches only
        store.flush()
    return store, data


@settings(max_examples=5)  # a store of three days takes seconds
@given(seed=st.integers(0, 2**32), ends=st.lists(st.integers(0, 3 * DAY), min_size=20, max_size=20))
def test_any_time_range_has_its_exact_counts_in_all_resolutions(seed: int, ends: list[int]) -> None:
    store, data = filled(random.Random(seed), days=3)
    extents = store._state.coverages
    assert extents[10].since > BEGAN
    assert extents[HOUR].until > BEGAN + 2 * DAY
    for one, other in zip(ends[::2], ends[1::2], strict=True):
        first, last = BEGAN + min(one, other), BEGAN + max(one, other) + 10
        read = sorted(piece[1:] for piece in plan_slices(first // 10 * 10, -(-last // 10) * 10, extents))
        begin, end = read[0][0], read[-1][1]
        assert all(before[1] == after[0] for before, after in pairwise(read))
        assert first - HOUR < begin <= first
        assert last <= end < last + HOUR
        values = [latency for start, latency in data if begin <= start // 10 * 10 < end]
        _, cells = points_of(store, TimeRange(first, last))
        figures = GroupQuantiles.of(cells, 1)
        assert figures.edge.counts.tolist() == [len(values)]
        for summary in figures[:3] if values else ():
            assert summary.stats(0) == pytest.approx(exact(values), rel=0.008)


def test_whole_hours_have_their_exact_counts_also_days_later(open_store: OpenStore) -> None:
    clock, chance, data = Clock(), random.Random(1), list[tuple[int, float]]()
    store = open_store(now=clock, ticks=clock)
    while clock.now < BEGAN + 3 * DAY:
        for late in chance.sample([0, 30, 90, 700, 5_000], 2):
            start, latency = max(int(clock.now) - late, BEGAN), round(chance.lognormvariate(-3, 2), 6) + 1e-6
            data.append((start, latency))
            store.add(report(start, latency))
        store.flush()
        clock.now += chance.choice([50, 600, 9_000, 20_000, 30_000])
    for _ in range(10):
        clock.now += 100
        store.flush()
    for _ in range(8):
        first, last = sorted(BEGAN + HOUR * hour for hour in chance.sample(range(3 * 24), 2))
        values = [latency for start, latency in data if first <= start // 10 * 10 < last]
        _, cells = points_of(store, TimeRange(first, last))
        figures = GroupQuantiles.of(cells, 1)
        assert figures.edge.counts.tolist() == [len(values)]
        assert figures.edge.stats(0) == pytest.approx(exact(values), rel=0.008)


@given(
    first=st.integers(0, 20_000),
    length=st.integers(1, 20_000),
    marks=st.lists(st.integers(0, 12), min_size=6, max_size=6),
)
def test_slices_have_each_moment_once(first: int, length: int, marks: list[int]) -> None:
    since = sorted((mark * HOUR // 2 for mark in marks[:3]), reverse=True)
    until = sorted((max(mark * HOUR // 2, *since) for mark in marks[3:]), reverse=True)
    extents = {10: Coverage(min(since[0], until[0]), FOREVER)}
    for width, begin, end in zip(RESOLUTIONS[1:], [*since[1:], 0], until, strict=True):
        extents[width] = Coverage(begin // HOUR * HOUR, end // width * width)
    first, last = first // 10 * 10, (first + length) // 10 * 10
    found = sorted(plan_slices(first, last, extents), key=lambda piece: piece.first)
    assert all(before.last == after.first for before, after in pairwise(found))
    assert all(piece.first % piece.width == piece.last % piece.width == 0 for piece in found)
    if last > first:
        assert found[0].first <= first
        assert found[-1].last >= last


def test_slices_are_as_coarse_as_possible() -> None:
    extents = {10: Coverage(0, FOREVER), **dict.fromkeys(RESOLUTIONS[1:], Coverage(0, FOREVER))}
    assert list(plan_slices(3590, 2 * HOUR + 70, extents)) == [
        Slice(10, 3590, HOUR),
        Slice(HOUR, HOUR, 2 * HOUR),
        Slice(60, 2 * HOUR, 2 * HOUR + 60),
        Slice(10, 2 * HOUR + 60, 2 * HOUR + 70),
    ]


BINS = st.one_of(st.just(ZERO), st.integers(-47_000, 47_000))
CELLS = st.dictionaries(
    st.tuples(st.integers(0, 5), st.sampled_from([EDGE, PATHWAY, SIZE]), BINS),
    st.one_of(st.integers(1, 300), st.integers(1, 10**15), st.floats(0.25, 1e6)),
    max_size=40,
)


@given(parts=st.lists(CELLS, min_size=1, max_size=4))
def test_histograms_are_merged_and_packed_without_loss(parts: list[dict[tuple[int, int, int], float]]) -> None:
    expected: dict[int, float] = {}
    made = list[Histograms]()
    for part in parts:
        keys = {encode_key(*where): float(count) for where, count in part.items()}
        made.append(Histograms(np.array(list(keys), np.int64), np.array(list(keys.values()), np.float64)))
        for key, count in keys.items():
            expected[key] = expected.get(key, 0.0) + count
    cells = merge(*made)
    assert dict(zip(cells.keys.tolist(), cells.counts.tolist(), strict=True)) == expected
    assert cells.keys.tolist() == sorted(expected)
    again, points = unpack(pack(cells, np.arange(100, 106)))
    assert (again.keys.tolist(), again.counts.tolist()) == (cells.keys.tolist(), cells.counts.tolist())
    assert points.tolist() == list(range(100, 106))


@given(parts=st.lists(CELLS, min_size=1, max_size=4), largest=st.integers(1, 50), share=st.sampled_from([0, 1 << 40]))
def test_merging_in_several_tables_or_by_sorting_is_the_same(
    parts: list[dict[tuple[int, int, int], float]], largest: int, share: int
) -> None:
    made = [
        Histograms(np.array([encode_key(*where) for where in part], np.int64), np.array([*part.values()], np.float64))
        for part in parts
    ]
    expected = merge(*made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncdsm.agent.store.histograms._MAX_TABLE_CELLS", largest)
        patch.setattr("asyncdsm.agent.store.histograms._MAX_CELLS_PER_COUNT", share)
        merged = merge(*made)
    assert merged.keys.tolist() == expected.keys.tolist()
    assert merged.counts.tolist() == pytest.approx(expected.counts.tolist())


@pytest.mark.parametrize(("kind", "type_"), [(0, "<u1"), (1, "<u2"), (2, "<u4"), (3, "<f8")])
def test_segment_of_format_1_is_read(kind: int, type_: str) -> None:
    keys = [encode_key(0, EDGE, 5), encode_key(0, SIZE, 2_000), encode_key(1, PATHWAY, ZERO)]
    cells = [key % (1 << 19) for key in keys]
    arrays = (
        np.array([kind, 2, 3], "<u4"),
        np.array([7, 9], "<i8"),
        np.array([2, 1], "<u4"),
        np.diff(cells, prepend=0).astype("<i4"),
        np.array([1, 2, 250], type_),
    )
    histograms, points = unpack(zlib.compress(b"".join(array.tobytes() for array in arrays), 1))
    assert (histograms.keys.tolist(), histograms.counts.tolist()) == (keys, [1, 2, 250])
    assert points.tolist() == [7, 9]


def test_huge_counts_of_one_group_do_not_spoil_other_groups() -> None:
    keys = [encode_key(0, EDGE, 5), encode_key(0, EDGE, 6), *(encode_key(1, EDGE, bin_) for bin_ in range(1000, 1100))]
    counts = [1e15 * 9, 1e15 * 9, *[1.0] * 100]
    figures = GroupQuantiles.of(Histograms(np.array(keys, np.int64), np.array(counts)), 2)
    assert figures.edge.counts[1] == 100
    assert figures.edge.p50[1] == pytest.approx(1.015625 ** (1049 - 1338.5), rel=0.008)
