"""Reads the sketches of payloads into `Histograms`: those with asyncdsm's mapping without the protobuf library.

A thousand payloads a second have 150,000 sketches, too many to make a protobuf message of each. `decode_sketch` does
that for all others.
"""

from __future__ import annotations

import re
from struct import Struct

import numpy as np

from asyncdsm.agent.intake.foreign_sketches import LARGEST_COUNT, decode_sketch
from asyncdsm.agent.store.histograms import LARGEST_BIN, Histograms, concat, encode_key
from asyncdsm.core.histogram import GAMMA, OFFSET, ZERO
from asyncdsm.errors import SketchError

_double = Struct("<d")
# Field 1 of a DDSketch with the mapping of protocol §7; its `interpolation` NONE is not written.
_MAPPING = b"\x0a\x12\x09" + _double.pack(GAMMA) + b"\x11" + _double.pack(OFFSET)
_VARINT = rb"([\x80-\xff]{0,4}[\x00-\x7f])"
# After it, field 2 with the positive values: its length, and the length of its run of counts, if it has one.
_HEAD = re.compile(re.escape(_MAPPING) + rb"\x12" + _VARINT + rb"(?:\x12" + _VARINT + rb")?", re.DOTALL)
# After the run: the bin of the first count, which ends field 2; no negative values; the count of zeros.
_TAIL = re.compile(rb"(?:\x18" + _VARINT + rb")?(?:\x1a\x00)?(?:\x21(.{8}))?\Z", re.DOTALL)
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
        head = _HEAD.match(data)
        if head is None:
            return False
        length, size = head.groups()
        begin = head.end()
        end = begin + _read_varint(size) if size else begin
        tail = _TAIL.match(data, end)
        if tail is None:
            return False
        zigzag, zeros = tail.groups()
        if head.end(1) + _read_varint(length) != (tail.end(1) if zigzag else end) or end > len(data):
            return False
        run, bin_ = data[begin:end], _read_varint(zigzag) if zigzag else 0
        first, count = bin_ >> 1 ^ -(bin_ & 1), len(run) >> 3
        if (
            len(run) & 7
            or run[7::8].translate(None, _VALID_LAST_BYTES)
            or not -LARGEST_BIN <= first <= LARGEST_BIN - count
        ):
            return False
        if zeros and not self._add_zeros(_double.unpack(zeros)[0], group, sketch):
            return False
        if count:
            self._runs.append(run)
            self._starts.append(encode_key(group, sketch, first))
            self._lengths.append(count)
            self._unfiltered += count
            if self._unfiltered > _MAX_UNFILTERED_COUNTS:
                self._filter_runs()
        return True

    def _add_zeros(self, zeros: float, group: int, sketch: int) -> bool:
        if not 0 <= zeros <= LARGEST_COUNT:
            return False
        if zeros:
            self._keys.append(encode_key(group, sketch, ZERO))
            self._counts.append(zeros)
        return True

    def _filter_runs(self) -> None:
        """Keep the counts of runs that are not 0."""
        if not self._runs:
            return
        counts = np.frombuffer(b"".join(self._runs), "<f8")
        lengths = np.array(self._lengths, np.int64)
        begins = np.array(self._starts, np.int64) - (lengths.cumsum() - lengths)
        used = np.flatnonzero(counts != 0)  # faster on booleans: no branch is mispredicted
        keys = (np.repeat(begins, lengths) + np.arange(self._unfiltered)).astype(np.int64, copy=False)
        self._parts.append(Histograms(keys[used], counts[used].astype(np.float64)))
        self._runs, self._starts, self._lengths, self._unfiltered = [], [], [], 0


def _read_varint(varint: bytes) -> int:
    if len(varint) == 2:  # as most are
        return varint[0] & 0x7F | varint[1] << 7
    number = 0
    for byte in reversed(varint):
        number = number << 7 | byte & 0x7F
    return number
