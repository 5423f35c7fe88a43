"""Exponential histograms: their buckets and quantiles, and what happens to values that are far apart."""

from __future__ import annotations

from math import log2
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm.core.histogram import ZERO, bin_index, bin_value
from asyncdsm.delivery.otlp.exponential import MOST_BUCKETS, SCALE, ExponentialHistogram, convert_bin

LARGEST_BIN = bin_index(1e12)
SMALLEST_BIN = bin_index(1e-9)


def counted(*values: float) -> ExponentialHistogram:
    histogram = ExponentialHistogram()
    for value in values:
        histogram.add_bins({bin_index(value): 1})
    return histogram


@given(st.integers(SMALLEST_BIN, LARGEST_BIN))
def test_bucket_holds_values_above_its_lower_bound_up_to_its_upper_one(bin_: int) -> None:
    index, value = convert_bin(bin_)
    assert value == bin_value(bin_)
    assert index < log2(value) * 2**SCALE <= index + 1


@given(st.lists(st.integers(SMALLEST_BIN, LARGEST_BIN), min_size=1, max_size=200))
def test_no_count_is_lost_however_far_apart_the_values_are(bins: list[int]) -> None:
    histogram = ExponentialHistogram()
    for bin_ in bins:
        histogram.add_bins({bin_: 3})
    buckets = histogram.buckets()
    assert sum(buckets.counts) == histogram.count == 3 * len(bins)
    assert len(buckets.counts) <= MOST_BUCKETS
    assert buckets.counts[0] > 0
    assert buckets.counts[-1] > 0
    lowest = min(map(bin_value, bins))
    assert buckets.offset < log2(lowest) * 2**buckets.scale <= buckets.offset + 1


def test_values_of_usual_width_stay_at_scale_5() -> None:
    assert counted(0.001, 0.9).buckets().scale == SCALE
    assert counted(0.001, 1.1).buckets().scale == SCALE - 1
    assert counted(1e-6, 3600).buckets().scale == SCALE - 2


def test_more_values_make_the_histogram_coarser_and_its_finer_counts_are_kept() -> None:
    histogram = counted(0.001, 0.5)
    fine = histogram.buckets()
    histogram.add_bins({bin_index(1e6): 1})
    assert histogram.buckets().scale < fine.scale
    assert counted(0.001, 0.5).buckets() == fine


def test_zero_is_counted_apart() -> None:
    histogram = ExponentialHistogram()
    histogram.add_bins({ZERO: 4, bin_index(2.0): 1})
    assert (histogram.count, histogram.zero_count, sum(histogram.buckets().counts)) == (5, 4, 1)
    assert histogram.sum == pytest.approx(2.0, rel=0.008)


def test_empty_histogram_has_no_buckets() -> None:
    assert ExponentialHistogram().buckets().counts == []


def test_sum_is_exact_within_the_width_of_a_bin() -> None:
    random = Random(3)
    values = [random.lognormvariate(-1, 2) for _ in range(2000)]
    assert counted(*values).sum == pytest.approx(sum(values), rel=0.008)
