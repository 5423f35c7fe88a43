"""The decoders with every test run: hypothesis changes what is as it should be, and makes up what is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS

CHANGE = st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from("-+="), st.binary(min_size=1, max_size=4))


def changed(seed: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    """Return a seed with bytes taken out, put in, or replaced, each at a share of its length."""
    data = bytearray(seed)
    for where, how, what in changes:
        at = int(where * len(data))
        data[at : at + (0 if how == "+" else len(what))] = b"" if how == "-" else what
    return bytes(data)


def test_target_has_seeds() -> None:
    assert TARGETS.keys() == SEEDS.keys()


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name, seeds in SEEDS.items() for seed in seeds])
def test_seed_is_decoded_without_an_error(name: str, seed: bytes) -> None:
    TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60)
@given(data=st.data())
def test_mutated_seed_is_decoded_without_an_error(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS[name]))
    TARGETS[name](changed(seed, data.draw(st.lists(CHANGE, min_size=1, max_size=4))))


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=40)
@given(data=st.binary(max_size=300))
def test_random_bytes_are_decoded_without_an_error(name: str, data: bytes) -> None:
    TARGETS[name](data)
