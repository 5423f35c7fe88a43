"""Reads the sketches of payloads into `Histograms`: those with asyncdsm's mapping without the protobuf library.

A thousand payloads a second have 150,000 sketches, too many to make a protobuf message of each. `decode_sketch` does
that for all others.
"""

from __future__ import annotations

import re
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

import numpy as np

from asyncdsm.agent.intake.foreign_sketches import LARGEST_COUNT, decode_sketch
from asyncdsm.agent.store.histograms import LARGEST_BIN, Histograms, concat, encode_key
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
# The last bytes of doubles from 0 up to 2^49.
_VALID_LAST_BYTES = bytes(range(0x43))
ROUNDING_UP = frozenset({"javascript", "python"})
"""Languages whose tracers have a sketch library that rounds up: dd-trace-js, and ddtrace with PyPI's `ddsketch`.

Both leave the offset of the mapping at 0. The native sketches of later versions of ddtrace have the offset 1338.5 and
round down.
"""
MAX_FOREIGN_SKETCHES = 30_000
"""How many sketches of one payload may need a protobuf message, which takes some 30 µs: those of 10,000 points."""
# How many counts of runs are collected before they are filtered: 4 MiB.
_MAX_UNFILTERED_COUNTS = 1 << 19


class SketchReader:
    """Reads sketches one by one, and returns the histograms of all of them."""

    def __init__(self, lang: str = "") -> None:
        """`lang` is the language of the tracer that wrote the sketches."""
        self.negatives: float = 0.0
        """How many values were below zero. They are counted as zeros."""
        self._rounds_up = lang in ROUNDING_UP
        self._parts: list[Histograms] = []
        self._keys: list[int] = []
        self._counts: list[float] = []
        self._runs: list[bytes] = []
        self._starts: list[int] = []
        self._lengths: list[int] = []
        self._unfiltered = self._foreign = 0

    def read(self, data: bytes, group: int, sketch: int) -> None:
        """Read one sketch of a group, which is `EDGE`, `PATHWAY` or `SIZE`. Raises SketchError."""
        if data and not self._read_run(data, group, sketch):
            self._foreign += 1
            if self._foreign > MAX_FOREIGN_SKETCHES:
                raise SketchError(
                    f"comes after more than {MAX_FOREIGN_SKETCHES} sketches with another mapping or an unusual encoding"
                )
            decoded = decode_sketch(data, rounds_up=self._rounds_up)
            self.negatives += decoded.negatives
            self._parts.append(Histograms(decoded.bins + encode_key(group, sketch, 0), decoded.counts))
            if decoded.zeros:
                self._keys.append(encode_key(group, sketch, ZERO))
                self._counts.append(decoded.zeros)

    def histograms(self) -> Histograms:
        """Return the histograms of all sketches that were read."""
        self._filter_runs()
        self._parts.append(Histograms(np.array(self._keys, np.int64), np.array(self._counts, np.float64)))
        self._keys, self._counts = [], []
        return concat(self._parts)

    def _read_run(self, data: bytes, group: int, sketch: int) -> bool:
        """Read a sketch that is one run of counts with asyncdsm's mapping, as most are; return False for all others.

        The sign and most of the exponent of a double are in its last byte. Sketches with counts that are negative, no
        numbers or above 2^49 are left to `decode_sketch`, which says what is wrong with them.
        """
        head = _read_head(data[:_MAX_HEAD_BYTES])
        tail = head and _read_tail(data[head.end : head.end + _MAX_TAIL_BYTES])
        if not head or not tail or head.store_end != head.end + tail.bin_bytes or head.end > len(data):
            return False
        run, first = data[head.begin : head.end], tail.first_bin
        count = len(run) >> 3
        if (
            len(run) & 7
            or run[7::8].translate(None, _VALID_LAST_BYTES)
            or not -LARGEST_BIN <= first <= LARGEST_BIN - count
            or not 0 <= tail.zeros <= LARGEST_COUNT
        ):
            return False
        if tail.zeros:
            self._keys.append(encode_key(group, sketch, ZERO))
            self._counts.append(tail.zeros)
        if count:
            self._runs.append(run)
            self._starts.append(encode_key(group, sketch, first))
            self._lengths.append(count)
            self._unfiltered += count
            if self._unfiltered > _MAX_UNFILTERED_COUNTS:
                self._filter_runs()
        return True

    def _filter_runs(self) -> None:
        """Keep the counts of runs that are not 0."""
        if not self._runs:
            return
        counts = np.frombuffer(b"".join(self._runs), "<f8").astype(np.float64, copy=False)
        used = np.flatnonzero(counts != 0)  # faster on booleans: no branch is mispredicted
        lengths = np.array(self._lengths, np.int64)
        ends = lengths.cumsum()
        begins = np.array(self._starts, np.int64) - (ends - lengths)
        used_of_each = np.diff(np.searchsorted(used, ends), prepend=0)
        self._parts.append(Histograms(used + np.repeat(begins, used_of_each), counts[used]))
        self._runs, self._starts, self._lengths, self._unfiltered = [], [], [], 0


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
    return _Tail(bin_ >> 1 ^ -(bin_ & 1), tail.end(1) if zigzag else 0, _double.unpack(zeros)[0] if zeros else 0.0)


def _read_varint(varint: bytes) -> int:
    number = 0
    for byte in reversed(varint):
        number = number << 7 | byte & 0x7F
    return number
