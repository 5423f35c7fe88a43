"""Reads the sketches of payloads into `Histograms`: those with asyncdsm's mapping without the protobuf library.

A thousand payloads a second have 150,000 sketches, too many to make a protobuf message of each. `decode_sketch` does
that for all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.intake.foreign_sketches import LARGEST_COUNT, check_counts, decode_sketch
from asyncdsm.agent.store.histograms import LARGEST_BIN, Floats, Histograms, concat, decode_key, encode_key, zero_keys
from asyncdsm.core.histogram import GAMMA, OFFSET, ZERO
from asyncdsm.errors import SketchError

_double = Struct("<d")
# Field 1 of a DDSketch with the mapping of protocol §7; its `interpolation` NONE is not written.
_MAPPING = b"\x0a\x12\x09" + _double.pack(GAMMA) + b"\x11" + _double.pack(OFFSET)
_VARINT = rb"([\x80-\xff]{0,3}[\x00-\x7f])"
# After it, field 2 with the positive values: its length, and the length of its run of counts, if it has one.
_HEAD = re.compile(re.escape(_MAPPING) + rb"\x12" + _VARINT + rb"(?:\x12" + _VARINT + rb")?", re.DOTALL)
# After the run: the bin of the first count, which ends field 2; no negative values; the count of zeros.
_TAIL = re.compile(rb"(?:\x18" + _VARINT + rb")?(?:\x1a\x00)?(?:\x21(.{8}))?\Z", re.DOTALL)
# A head has at most 30 bytes, and a tail at most 16: one more, so that a longer tail does not end with the pattern.
_MAX_HEAD_BYTES, _MAX_TAIL_BYTES = len(_MAPPING) + 10, 17
_MAX_CACHED = 1 << 12
ROUNDING_UP = frozenset({"javascript", "python"})
"""Languages whose tracers have a sketch library that rounds up: dd-trace-js, and ddtrace with PyPI's `ddsketch`.

Both leave the offset of the mapping at 0. The native sketches of later versions of ddtrace have the offset 1338.5 and
round down.
"""
MAX_FOREIGN_SKETCHES = 30_000
"""How many sketches of one payload may need a protobuf message, which takes some 30 µs: those of 10,000 points."""
# How many bytes of runs are collected before they are filtered.
_MAX_UNFILTERED_BYTES = 4 << 20


class SketchReader:
    """Reads sketches one by one, and returns the histograms of all of them."""

    def __init__(self, lang: str, on_error: Callable[[int, int, SketchError], None]) -> None:
        """`lang` is the language of the tracer that wrote the sketches.

        `on_error` is called with the group and the kind of each sketch that cannot be read, at the latest by
        `histograms`. Nothing of such a sketch is counted.
        """
        self.negatives: float = 0.0
        """How many values were below zero. They are counted as zeros."""
        self._rounds_up, self._on_error = lang in ROUNDING_UP, on_error
        self._parts: list[Histograms] = []
        self._runs: list[bytes] = []
        self._starts: list[int] = []
        self._zeros: list[float] = []
        self._unfiltered = self._foreign = 0

    def read(self, data: bytes, group: int, sketch: int) -> None:
        """Read one sketch of a group, which is `EDGE`, `PATHWAY` or `SIZE`."""
        if data and not self._read_run(data, group, sketch):
            try:
                self._decode(data, group, sketch)
            except SketchError as error:
                self._on_error(group, sketch, error)

    def histograms(self) -> Histograms:
        """Return the histograms of all sketches that were read."""
        self._filter_runs()
        return concat(self._parts)

    def _decode(self, data: bytes, group: int, sketch: int) -> None:
        self._foreign += 1
        if self._foreign > MAX_FOREIGN_SKETCHES:
            raise SketchError(
                f"comes after more than {MAX_FOREIGN_SKETCHES} sketches with another mapping or an unusual encoding"
            )
        decoded = decode_sketch(data, rounds_up=self._rounds_up)
        self.negatives += decoded.negatives
        self._parts.append(Histograms(decoded.bins + encode_key(group, sketch, 0), decoded.counts))
        self._collect(b"", encode_key(group, sketch, ZERO), decoded.zeros)

    def _read_run(self, data: bytes, group: int, sketch: int) -> bool:
        """Read a sketch that is one run of counts with asyncdsm's mapping, as most are; return False for all others."""
        head = _read_head(data[:_MAX_HEAD_BYTES])
        if head is None:
            return False
        begin, end, store_end = head
        tail = _read_tail(data[end : end + _MAX_TAIL_BYTES])
        if tail is None or end > len(data):
            return False
        first, bin_bytes, zeros = tail
        run = data[begin:end]
        if end + bin_bytes != store_end or len(run) & 7 or not -LARGEST_BIN <= first <= LARGEST_BIN - (len(run) >> 3):
            return False
        self._collect(run, encode_key(group, sketch, first), zeros)
        return True

    def _collect(self, run: bytes, start: int, zeros: float) -> None:
        """Take the counts of a sketch, the key of the first of them, and its count of zeros."""
        self._runs.append(run)
        self._starts.append(start)
        self._zeros.append(zeros)
        self._unfiltered += len(run)
        if self._unfiltered > _MAX_UNFILTERED_BYTES:
            self._filter_runs()

    def _filter_runs(self) -> None:
        """Keep the counts that are not 0."""
        counts = np.frombuffer(b"".join(self._runs), "<f8").astype(np.float64, copy=False)
        starts, zeros = np.array(self._starts, np.int64), np.array(self._zeros, np.float64)
        lengths = np.array(list(map(len, self._runs)), np.int64) >> 3
        ends = lengths.cumsum()
        begins = ends - lengths
        possible = (counts >= 0) & (counts <= LARGEST_COUNT)  # not true of NaN
        if not possible.all():
            counts = counts.copy()
            for run in np.unique(np.searchsorted(ends, np.flatnonzero(~possible), "right")).tolist():
                self._refuse(starts[run].item(), counts[begins[run] : ends[run]])
                zeros[run] = 0
        used = (counts != 0).nonzero()[0]  # faster on booleans: no branch is mispredicted
        used_of_each = used.searchsorted(ends) - used.searchsorted(begins)
        self._parts.append(Histograms(used + (starts - begins).repeat(used_of_each), counts[used]))
        with_zeros = zeros.nonzero()[0]
        self._parts.append(Histograms(zero_keys(starts[with_zeros]), zeros[with_zeros]))
        self._runs, self._starts, self._zeros, self._unfiltered = [], [], [], 0

    def _refuse(self, start: int, counts: Floats) -> None:
        """Set the counts of a sketch, one of which is impossible, to 0; `start` is the key of the first of them."""
        group, sketch, first = decode_key(start)
        used = counts.nonzero()[0]
        try:
            check_counts(used + first, counts[used])
        except SketchError as error:
            self._on_error(group, sketch, error)
        counts[:] = 0


class _Head(NamedTuple):
    """Where the run of counts begins and ends, and where field 2 must end."""

    begin: int
    end: int
    store_end: int


class _Tail(NamedTuple):
    """The bin of the first count, how many bytes of field 2 say so, and the count of zeros."""

    first_bin: int
    bin_bytes: int
    zeros: float


@lru_cache(_MAX_CACHED)  # there are few different ones: lengths, followed by the low bytes of a count, which are 0
def _read_head(data: bytes) -> _Head | None:
    head = _HEAD.match(data)
    if head is None:
        return None
    length, size = head.groups()
    begin = head.end()
    return _Head(begin, begin + _read_varint(size or b""), head.end(1) + _read_varint(length))


@lru_cache(_MAX_CACHED)
def _read_tail(data: bytes) -> _Tail | None:
    tail = _TAIL.match(data)
    if tail is None:
        return None
    zigzag, zeros = tail.groups()
    bin_ = _read_varint(zigzag or b"")
    count = _double.unpack(zeros)[0] if zeros else 0.0
    if not 0 <= count <= LARGEST_COUNT:
        return None
    return _Tail(bin_ >> 1 ^ -(bin_ & 1), tail.end(1) if zigzag else 0, count)


def _read_varint(varint: bytes) -> int:
    number = 0
    for byte in reversed(varint):
        number = number << 7 | byte & 0x7F
    return number
