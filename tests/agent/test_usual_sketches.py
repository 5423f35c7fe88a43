"""Sketches that are read without the protobuf library are read as the library reads them."""

from __future__ import annotations

from struct import pack
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncdsm.agent.intake import sketches
from asyncdsm.agent.intake.foreign_sketches import LARGEST_COUNT, DecodedSketch, decode_sketch
from asyncdsm.agent.intake.sketches import SketchReader
from asyncdsm.agent.store.histograms import EDGE, LARGEST_BIN, PATHWAY, SIZE, decode_key, encode_key, merge
from asyncdsm.core.histogram import GAMMA, OFFSET, ZERO
from asyncdsm.delivery.sketch import encode
from asyncdsm.errors import SketchError
from tests.agent.payloads import sketch

Bins = dict[int, float]
Read = Bins | str
"""The counts of a sketch by bin, or what is wrong with it."""
KINDS = EDGE, PATHWAY, SIZE
BINS = st.integers(-LARGEST_BIN - 2, LARGEST_BIN + 2)
GOOD_COUNTS = st.one_of(st.integers(0, 300).map(float), st.floats(0, LARGEST_COUNT))
COUNTS = st.one_of(GOOD_COUNTS, st.floats(), st.sampled_from([-1.0, LARGEST_COUNT, 2 * LARGEST_COUNT, 2.0**49, -0.0]))


def field(number: int, content: bytes, *, long: bool = False) -> bytes:
    """Return a field with a length; `long` writes it in more bytes than it needs."""
    return varint(number << 3 | 2) + varint(len(content), long=long) + content


def varint(number: int, *, long: bool = False) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number | 0x80, 0] if long else [*written, number])


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + pack("<d", value)


MAPPINGS = st.sampled_from(
    [
        field(1, double(1, GAMMA) + double(2, OFFSET)),
        field(1, double(2, OFFSET) + double(1, GAMMA)),
        field(1, double(1, 1.01) + double(2, 0.0)),
        field(1, double(1, GAMMA) + double(2, OFFSET) + varint(3 << 3) + b"\x01"),
    ]
)
UNKNOWN = st.sampled_from([field(9, b"x"), varint(9 << 3) + b"\x05", double(9, 2.0)])
RUNS = st.builds(
    lambda counts, long: field(2, b"".join(pack("<d", count) for count in counts), long=long),
    st.one_of(st.lists(GOOD_COUNTS, max_size=40), st.lists(COUNTS, max_size=4)),
    st.booleans(),
)
FIRST_BINS = BINS.map(lambda bin_: varint(3 << 3) + varint((bin_ << 1) ^ (bin_ >> 31)))
STORES = st.lists(st.one_of(RUNS, FIRST_BINS, UNKNOWN), max_size=4).map(b"".join)
USUAL = st.builds(
    lambda mapping, run, first, zeros: mapping + field(2, run + first) + field(3, b"") + zeros,
    MAPPINGS,
    RUNS,
    FIRST_BINS,
    st.one_of(st.just(b""), COUNTS.map(lambda zeros: double(4, zeros))),
)
SHUFFLED = st.lists(
    st.one_of(
        MAPPINGS,
        STORES.map(lambda store: field(2, store)),
        STORES.map(lambda store: field(3, store)),
        COUNTS.map(lambda zeros: double(4, zeros)),
        UNKNOWN,
    ),
    max_size=6,
).map(b"".join)
WRITTEN = st.dictionaries(st.one_of(st.integers(-300, 4_000), st.just(ZERO)), st.integers(1, 1_000)).map(encode)


def damage(data: bytes, at: int, kind: str, byte: int) -> bytes:
    at %= len(data) + 1
    match kind:
        case "cut":
            return data[:at]
        case "remove":
            return data[:at] + data[at + 1 :]
        case _:
            return data[:at] + bytes([byte]) + data[at + (kind == "replace") :]


DAMAGED = st.builds(
    damage,
    st.one_of(WRITTEN, USUAL),
    st.integers(0, 500),
    st.sampled_from(["cut", "remove", "insert", "replace"]),
    st.integers(0, 255),
)


def read_all(written: list[bytes]) -> list[Read]:
    """Read sketches one after the other, as those of one payload."""
    problems = dict[tuple[int, int], str]()

    def note(group: int, kind: int, error: SketchError) -> None:
        assert (group, kind) not in problems
        problems[group, kind] = str(error)

    reader = SketchReader("", note)
    for number, data in enumerate(written):
        reader.read(data, number // 3, KINDS[number % 3])
    counted: dict[tuple[int, int], Bins] = {}
    for key, count in zip(*(part.tolist() for part in merge(reader.histograms())), strict=True):
        group, kind, bin_ = decode_key(cast("int", key))
        counted.setdefault((group, kind), {})[bin_] = cast("float", count)
    places = [(number // 3, KINDS[number % 3]) for number in range(len(written))]
    assert not problems.keys() & counted.keys()
    return [problems.get(place, counted.get(place, {})) for place in places]


def read_by_protobuf(data: bytes) -> Read:
    try:
        decoded = decode_sketch(data)
    except SketchError as error:
        return str(error)
    read: Bins = {ZERO: decoded.zeros} if decoded.zeros else {}
    for bin_, count in zip(decoded.bins.tolist(), decoded.counts.tolist(), strict=True):
        read[bin_] = read.get(bin_, 0.0) + count
    return read


def refuse(*_: Any, **__: Any) -> DecodedSketch:
    raise AssertionError("the protobuf library was used")


@settings(max_examples=400)
@given(st.lists(st.one_of(WRITTEN, USUAL, SHUFFLED, DAMAGED), min_size=1, max_size=5))
def test_sketches_of_any_form_are_read_as_by_protobuf(written: list[bytes]) -> None:
    assert read_all(written) == [read_by_protobuf(data) for data in written]


@settings(max_examples=100)
@given(bins=st.dictionaries(st.one_of(st.integers(-300, 1_700), st.just(ZERO)), st.integers(1, 10**12)))
def test_sketches_that_asyncdsm_writes_are_read_without_protobuf(bins: Bins) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketches, "decode_sketch", refuse)
        assert read_all([encode(bins)]) == [bins]


@pytest.mark.parametrize("first", [0, 10])
def test_every_prefix_of_a_sketch_is_read_as_by_protobuf(first: int) -> None:
    whole = encode({first: 1, 12: 6, 40: 2.5, ZERO: 6})
    prefixes = [whole[:end] for end in range(1, len(whole) + 1)]
    assert read_all(prefixes) == [read_by_protobuf(data) for data in prefixes]


def test_run_that_ends_inside_a_count_is_refused() -> None:
    mapping = field(1, double(1, GAMMA) + double(2, OFFSET))
    wrong = mapping + field(2, field(2, pack("<d", 1.0) + b"\0"))
    assert isinstance(read_by_protobuf(wrong), str)
    assert read_all([encode({1: 1}), wrong]) == [{1: 1}, read_by_protobuf(wrong)]


@pytest.mark.parametrize("count", [-1.0, 2 * LARGEST_COUNT, float("inf"), float("nan")])
def test_nothing_of_a_sketch_with_an_impossible_count_is_counted_and_its_neighbors_are(count: float) -> None:
    before, after = encode({5: 1, 6: 2, ZERO: 3}), encode({7: 4})
    wrong = sketch(contiguousBinCounts=[1, 0, count, 2], contiguousBinIndexOffset=20, zeros=8)
    problem = f"the count of bin 22 must be above 0 and at most 1e+15, got {count}"
    assert read_all([before, wrong, after]) == [{5: 1, 6: 2, ZERO: 3}, problem, {7: 4}]
    assert read_by_protobuf(wrong) == problem


@pytest.mark.parametrize("bin_", [-LARGEST_BIN, -1, 0, 1, LARGEST_BIN, ZERO])
@pytest.mark.parametrize("kind", KINDS)
def test_key_is_decoded_to_what_was_encoded(bin_: int, kind: int) -> None:
    assert decode_key(encode_key(70_000, kind, bin_)) == (70_000, kind, bin_)
