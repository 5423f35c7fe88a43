"""Bins and sketches, bin for bin what the other tracers have (protocol §7)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm.core.histogram import MAX_BINS, ZERO, bin_index, bin_value
from asyncdsm.delivery.sketch import Sketch, encode
from asyncdsm.errors import SketchError
from tests.unit.test_pathway import VECTORS

VALUES = st.floats(1e-6, 1e6) | st.just(0.0)  # 1783 bins: nothing collapses


@pytest.mark.parametrize(("value", "bin_"), VECTORS["sketch_bins"])
def test_bin_index_of_a_value_equals_the_vectors(value: float, bin_: int) -> None:
    assert bin_index(value) == bin_


@pytest.mark.parametrize("vector", VECTORS["sketches"], ids=lambda vector: str(vector["values"]))
def test_encoded_sketch_equals_the_vectors(vector: dict[str, Any]) -> None:
    assert encode(Counter(map(bin_index, vector["values"]))).hex() == vector["hex"]
    sketch = Sketch()
    for value in vector["values"]:
        sketch.add_value(value)
    assert sketch.encode().hex() == vector["hex"]


@given(value=st.floats(1e-9, 1e12))
def test_bin_value_is_within_one_percent_of_its_values(value: float) -> None:
    assert bin_value(bin_index(value)) == pytest.approx(value, rel=0.008)


@given(values=st.lists(VALUES, max_size=50))
def test_decoded_sketch_has_the_encoded_counts(values: list[float]) -> None:
    counts = dict(Counter(map(bin_index, values)))
    assert Sketch.decode(encode(counts)).bins() == counts


@given(parts=st.lists(st.lists(VALUES, max_size=20), max_size=5))
def test_merged_sketch_has_the_sum_of_all_counts(parts: list[list[float]]) -> None:
    merged = Sketch()
    for part in parts:
        merged.merge(Sketch(Counter(map(bin_index, part))))
    assert merged.bins() == dict(Counter(bin_index(value) for part in parts for value in part))
    assert merged.count == sum(map(len, parts))


@given(values=st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=200), fraction=st.floats(0, 1))
def test_quantile_is_within_one_percent_of_the_exact_one(values: list[float], fraction: float) -> None:
    sketch = Sketch(Counter(map(bin_index, values)))
    exact = sorted(values)[int(fraction * (len(values) - 1))]
    assert sketch.quantile(fraction) == pytest.approx(exact, rel=0.008)


def test_sketch_over_too_many_bins_merges_the_lowest() -> None:
    sketch = Sketch.decode(encode({0: 2, 100: 3, MAX_BINS + 200: 1}))
    assert sketch.bins() == {201: 5, MAX_BINS + 200: 1}


def test_quantile_of_an_empty_sketch_is_none() -> None:
    assert Sketch().quantile(0.5) is None
    assert Sketch({ZERO: 1}).quantile(0.5) == 0.0


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x02\x09"])
def test_decoding_garbage_raises_sketch_error(data: bytes) -> None:
    with pytest.raises(SketchError):
        Sketch.decode(data)
