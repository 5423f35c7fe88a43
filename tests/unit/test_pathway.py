"""Pathways: hashes and contexts as the protocol has them (§2, §3)."""

from __future__ import annotations

import json
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm import Pathway
from asyncdsm.core.context import (
    MAX_TIME_NS,
    decode_context,
    decode_varint,
    encode_context,
    encode_varint,
    legacy_text,
    node_hash,
    pathway_hash,
)

HERE = Path(__file__).parent
VECTORS: dict[str, Any] = json.loads((HERE / "vectors.json").read_text())
MILLISECONDS = st.integers(0, MAX_TIME_NS // 1_000_000)
HASHES = st.integers(0, (1 << 64) - 1)


def test_vectors_equal_the_shared_file() -> None:
    shared = HERE.parents[2] / "shared" / "vectors.json"
    if shared.exists():
        assert json.loads(shared.read_text()) == VECTORS


@pytest.mark.parametrize("vector", VECTORS["hashes"], ids=lambda vector: vector["hash"])
def test_pathway_hash_equals_the_vectors(vector: dict[str, Any]) -> None:
    node = node_hash(vector["service"], vector["env"], tuple(reversed(vector["tags"])))
    assert pathway_hash(node, int(vector["parent"])) == int(vector["hash"])


def test_missing_env_is_hashed_as_none() -> None:
    assert node_hash("service", None, ("a:b",)) == node_hash("service", "none", ("a:b",))


@pytest.mark.parametrize("vector", VECTORS["contexts"], ids=lambda vector: vector["base64"])
def test_context_equals_the_vectors(vector: dict[str, Any]) -> None:
    expected = Pathway(int(vector["hash"]), vector["pathway_start_ms"] * 1_000_000, vector["edge_start_ms"] * 1_000_000)
    assert Pathway.decode_base64(vector["base64"]) == expected
    assert expected.encode_base64() == vector["base64"]


@pytest.mark.parametrize(("number", "encoded"), VECTORS["varints"])
def test_varint_equals_the_vectors(number: int, encoded: str) -> None:
    assert encode_varint(number * 2).hex() == encoded
    assert decode_varint(bytes.fromhex(encoded), 0) == (number * 2, len(encoded) // 2)


@given(number=st.integers(0, (1 << 64) - 1))
def test_encoded_varint_is_decoded_unchanged(number: int) -> None:
    encoded = encode_varint(number)
    assert len(encoded) <= 9
    assert decode_varint(encoded, 0) == (number, len(encoded))


@given(hash_=HASHES, origin=MILLISECONDS, edge=MILLISECONDS)
def test_encoded_pathway_is_decoded_unchanged(hash_: int, origin: int, edge: int) -> None:
    pathway = Pathway(hash_, origin * 1_000_000, edge * 1_000_000)
    assert Pathway.decode(pathway.encode()) == pathway
    assert Pathway.decode_base64(pathway.encode_base64()) == pathway


@given(hash_=HASHES, origin=st.integers(1 << 35, (1 << 41) - 1), edge=st.integers(1 << 35, (1 << 41) - 1))
def test_common_context_is_encoded_as_any_other(hash_: int, origin: int, edge: int) -> None:
    slowly = hash_.to_bytes(8, "little") + encode_varint(origin * 2) + encode_varint(edge * 2)
    assert Pathway(hash_, origin * 1_000_000, edge * 1_000_000).encode() == slowly


def test_context_of_today_has_28_characters() -> None:
    assert len(Pathway(1, 1_795_000_000_000_000_000, 1_795_000_000_000_000_000).encode_base64()) == 28


@given(data=st.binary(max_size=40))
def test_malformed_bytes_raise_nothing(data: bytes) -> None:
    pathway = Pathway.decode(data)
    assert pathway is None or pathway.pathway_start_ns >= 0
    Pathway.decode_base64(data)


@pytest.mark.parametrize(
    "text",
    ["", "=", "nMKD2ZEAtFOy", "!!!!", "nMKD2ZEAtFOy/f/K5mOy/f/K5mM", "ñMKD2ZEAtFOy/f/K5mOy/f/K5mM=", b"\xff"],
)
def test_malformed_text_is_decoded_as_none(text: str | bytes) -> None:
    assert Pathway.decode_base64(text) is None


@pytest.mark.parametrize("times", [(1, MAX_TIME_NS + 1_000_000), (MAX_TIME_NS + 1_000_000, 1)])
def test_time_after_2262_is_malformed(times: tuple[int, int]) -> None:
    assert decode_context(encode_context(7, *times)) is None


def test_time_before_1970_is_malformed() -> None:
    assert Pathway.decode(bytes(8) + b"\x01\x02") is None


def test_legacy_key_carries_text_or_bytes() -> None:
    pathway = Pathway(7, 1_795_000_000_000_000_000, 1_795_000_000_000_000_000)
    assert Pathway.decode_base64(legacy_text(pathway.encode())) == pathway
    assert Pathway.decode_base64(legacy_text(pathway.encode_base64().encode())) == pathway


class OwnPathway(Pathway):
    """A pathway of a program's own class."""


def test_subclass_is_decoded_shown_and_copied_as_itself() -> None:
    own = OwnPathway(7, 1_795_000_000_000_000_000, 1_795_000_000_000_000_000)
    copies = [OwnPathway.decode(own.encode()), OwnPathway.decode_base64(own.encode_base64()), copy(own), deepcopy(own)]
    assert [(type(each), each) for each in copies] == [(OwnPathway, own)] * 4
    assert repr(own).startswith("OwnPathway(hash=7, pathway_start_ns=17950")
