"""The same steps bring the same headers, pathways, counters, histograms and payloads in both cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncdsm.core.context import HEADER as HEADER_NAME
from asyncdsm.core.context import LEGACY_HEADER, encode_context, encode_header
from asyncdsm.testing import ManualClock

NOW = ManualClock()()
EDGE = st.integers(0, 2)
HASH = st.sampled_from([0, 1, 2, 3]) | st.integers(0, (1 << 64) - 1)
TIME = (
    st.integers(-100, 100).map(lambda seconds: NOW + seconds * 1_000_000_000)
    | st.sampled_from([0, 1_000_000, 1 << 60, (1 << 63) - 1])
    | st.integers(0, (1 << 63) - 1)
)
BEFORE_1970 = st.integers(-(1 << 60), -1)
CONTEXT = st.builds(encode_header, HASH, TIME, TIME)
CONTEXT_AND_MORE = st.builds(lambda *of: b64encode(encode_context(*of) + b"more"), HASH, TIME, TIME)


@st.composite
def damaged(draw: Any) -> bytes:
    """A context in which one byte is another."""
    context = bytearray(draw(CONTEXT))
    context[draw(st.integers(0, len(context) - 1))] = draw(st.integers(0, 255))
    return bytes(context)


BYTES = CONTEXT | CONTEXT_AND_MORE | damaged() | st.binary(max_size=45)
HEADER = (
    st.just(("none", None))
    | BYTES.map(lambda value: ("bytes", value.hex()))
    | (CONTEXT | damaged()).map(lambda value: ("text", value.decode("latin-1")))
    | st.text(max_size=30).map(lambda value: ("text", value))
    | st.tuples(st.sampled_from(["bytearray", "view"]), BYTES.map(bytes.hex))
    | st.sampled_from([("other", 7), ("other", [1, 2]), ("other", "x" * 28), ("other", {})])
)
SIZE = st.none() | st.integers(0, 10**9) | st.sampled_from([-1, 1 << 62, 1 << 70, True, "5", 1.5])
BROKER_NS = st.none() | TIME | st.sampled_from([-5, 0, 1 << 64, -(1 << 70), "now", 1.5, True])
NAME = st.sampled_from(
    [("text", name) for name in (HEADER_NAME, LEGACY_HEADER, HEADER_NAME.upper(), "traceparent", "", "naïve")]
)
PAIR = st.tuples(st.just("tuple"), st.tuples(NAME, BYTES.map(lambda value: ("bytes", value.hex()))))
ODD_PARTS = st.tuples(NAME, HEADER) | st.tuples(HEADER, HEADER) | st.lists(HEADER, max_size=3)
ODD_PAIR = st.tuples(st.sampled_from(["tuple", "list", "pair", "number"]), ODD_PARTS)
CONTAINER = st.sampled_from(["list", "tuple"])
HEADERS = st.one_of(
    st.tuples(CONTAINER, st.lists(PAIR, max_size=4)),
    st.tuples(CONTAINER, st.lists(PAIR | ODD_PAIR, max_size=4)),
    st.tuples(st.just("deque"), st.lists(PAIR, max_size=4)),
    st.none(),
)
ROOM = st.none() | st.integers(0, 150)
OFFSET = st.integers(0, 1000) | st.sampled_from([None, -1, 1 << 63, "7"])
STEP = st.one_of(
    st.tuples(st.just("consume"), EDGE, HEADER, SIZE, BROKER_NS),
    st.tuples(st.just("consume"), EDGE, HEADER, SIZE, BROKER_NS),
    st.tuples(st.just("begin"), EDGE, SIZE, st.none() | st.integers(0, 50)),
    st.tuples(st.just("finish"), st.sampled_from([0, -1])),
    st.tuples(st.just("finish"), st.just(-1)),
    st.tuples(st.just("peek"), EDGE, HEADER, BROKER_NS),
    st.tuples(st.just("begin_in_layer"), EDGE, st.booleans()),
    st.tuples(st.just("consume_in_layer"), EDGE, st.booleans(), st.booleans()),
    st.tuples(st.just("forget_current")),
    st.tuples(st.just("resume"), HASH, TIME | BEFORE_1970, TIME | BEFORE_1970),
    st.tuples(st.just("advance"), st.floats(-15, 25)),
    st.tuples(st.just("offset"), st.integers(0, 9), OFFSET),
    st.tuples(st.just("take"), st.booleans()),
    st.tuples(st.just("stats")),
    st.tuples(st.just("start_recorder"), st.sampled_from(["first", "second"])),
    st.tuples(st.just("start_capturing")),
    st.tuples(st.just("captured")),
    st.tuples(st.just("stop"), st.booleans()),
)
SMALL = st.integers(0, 60)
HEADERS_STEP = st.one_of(
    st.tuples(st.just("begin_with_headers"), EDGE, HEADERS, SMALL, ROOM),
    st.tuples(st.just("scan_headers"), HEADERS, SMALL),
    st.tuples(st.just("begin_with_headers"), EDGE, HEADERS, SIZE, ROOM),
    st.tuples(st.just("scan_headers"), HEADERS, SIZE),
)
LAST = [["stats"], ["take", True], ["stats"]]


class Core:
    """A process in which one of the cores is in use."""

    def __init__(self, pure: str, **environ: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cores.steps"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"ASYNCDSM_PURE": pure} | environ,
            text=True,
        )
        self.why_plain: str | None
        self.file: str
        self.why_plain, self.file = self._read()

    def follow(self, program: list[Any]) -> list[Any]:
        """Make the steps of a program; return what came of each."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(program) + "\n")
        self._process.stdin.flush()
        answer: list[Any] = self._read()
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        assert self._process.returncode == 0

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def cores() -> Iterator[tuple[Core, Core]]:
    both = Core("1"), Core("")
    assert both[0].why_plain == "ASYNCDSM_PURE is set"
    assert both[1].why_plain is None, "the native core was not compiled"
    yield both
    for core in both:
        core.close()


@given(program=st.lists(STEP, max_size=40))
@settings(max_examples=300, deadline=None)
def test_both_cores_do_the_same(cores: tuple[Core, Core], program: list[Any]) -> None:
    plain, native = (core.follow([*program, *LAST]) for core in cores)
    for step, expected, found in zip([*program, *LAST], plain, native, strict=True):
        assert found == expected, step


@given(program=st.lists(HEADERS_STEP, min_size=10, max_size=40))
@settings(max_examples=150, deadline=None)
def test_both_cores_read_and_write_headers_the_same(cores: tuple[Core, Core], program: list[Any]) -> None:
    plain, native = (core.follow(program) for core in cores)
    for step, expected, found in zip(program, plain, native, strict=True):
        assert found == expected, step


def test_room_for_a_context_ends_at_the_same_byte(cores: tuple[Core, Core]) -> None:
    headers = ["list", [["tuple", [["text", "a"], ["bytes", "62"]]]] * 2]
    plain, native = (core.follow([["begin_with_headers", 0, headers, 5, room] for room in range(40)]) for core in cores)
    assert [is_given for _, is_given, *_ in plain] == [room < 5 + 2 * (2 + 8) for room in range(40)]
    assert native == plain


def test_many_bins_are_encoded_the_same(cores: tuple[Core, Core]) -> None:
    """More than 2048 bins between the lowest and the highest: the lowest are merged."""
    header = encode_header(5, NOW - 90_000_000_000, NOW - 90_000_000_000).hex()
    consumed = [["consume", 0, ("bytes", header), 3**power, None] for power in range(40)]
    program = [["advance", -89.999_999_999], *consumed, ["advance", 1000], ["consume", 0, ("bytes", header), 0, None]]
    plain, native = (core.follow([*program, *LAST]) for core in cores)
    assert plain == native
