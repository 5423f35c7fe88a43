"""The sketches of payloads, read into cells: those of our own mapping without a protobuf message in between.

`decode_sketch` makes a message of each; a thousand payloads a second have 150,000 of them.
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
_MAPPING = b"\x0a\x12\x09" + _double.pack(GAMMA) + b"\x11" + _double.pack(OFFSET)
"""Field 1 of a DDSketch with the mapping of protocol §7; `interpolation` NONE is left out."""
_VARINT = rb"([\x80-\xff]{0,4}[\x00-\x7f])"
_HEAD = re.compile(re.escape(_MAPPING) + rb"\x12" + _VARINT + rb"(?:\x12" + _VARINT + rb")?", re.DOTALL)
"""Then field 2, the positive values: how long it is, and how long its run of counts is, where it has one."""
_TAIL = re.compile(rb"(?:\x18" + _VARINT + rb")?(?:\x1a\x00)?(?:\x21(.{8}))?\Z", re.DOTALL)
"""Behind the run: the first count's bin, the end of field 2; no negative values; how many zeros."""
_ORDINARY = bytes(range(0x43))
ROUNDING_UP = frozenset({"javascript", "python"})
"""Whose tracers use a sketch library that rounds up: dd-trace-js, and ddtrace in the time of PyPI's `ddsketch`. Both
leave the mapping's offset at 0; ddtrace's later, native sketches have offset 1338.5 and round down."""
MAX_FOREIGN_SKETCHES = 30_000
"""Sketches in one payload that need a protobuf message each, which takes some 30 µs: those of 10,000 points."""
_TOGETHER = 1 << 19
"""Bins that are looked at at once: 4 MiB of counts."""


class SketchReader:
    """Reads sketches one by one, and gives out the cells of all of them.

    `lang` is the language of the tracer that wrote them. `negatives` counts values below zero, read as zeros.
    """

    def __init__(self, lang: str = "") -> None:
        self.negatives: float = 0.0
        self._rounds_up = lang in ROUNDING_UP
        self._parts: list[Histograms] = []
        self._keys: list[int] = []
        self._counts: list[float] = []
        self._runs: list[bytes] = []
        self._starts: list[int] = []
        self._lengths: list[int] = []
        self._waiting = self._foreign = 0

    def read(self, data: bytes, group: int, sketch: int) -> None:
        """Read one sketch of a group. Raises SketchError."""
        if data and not self._read_run(data, group, sketch):
            self._foreign += 1
            if self._foreign > MAX_FOREIGN_SKETCHES:
                raise SketchError(f"more than {MAX_FOREIGN_SKETCHES} sketches of another mapping, or of an odd form")
            decoded = decode_sketch(data, rounds_up=self._rounds_up)
            self.negatives += decoded.negatives
            self._parts.append(Histograms(decoded.bins + encode_key(group, sketch, 0), decoded.counts))
            if decoded.zeros:
                self._keys.append(encode_key(group, sketch, ZERO))
                self._counts.append(decoded.zeros)

    def cells(self) -> Histograms:
        """Return everything read."""
        self._look_at_runs()
        self._parts.append(Histograms(np.array(self._keys, np.int64), np.array(self._counts, np.float64)))
        self._keys, self._counts = [], []
        return concat(self._parts)

    def _read_run(self, data: bytes, group: int, sketch: int) -> bool:
        """Take a sketch that is one run of counts in our mapping, as most are; False for all others.

        The sign and most of the exponent of a double are in its last byte: counts below 0, not numbers or above
        2^49 are left to `decode_sketch`, which says what is wrong.
        """
        head = _HEAD.match(data)
        if head is None:
            return False
        length, size = head.groups()
        begin = head.end()
        end = begin + _number(size) if size else begin
        tail = _TAIL.match(data, end)
        if tail is None:
            return False
        zigzag, zeros = tail.groups()
        if head.end(1) + _number(length) != (tail.end(1) if zigzag else end) or end > len(data):
            return False
        run, bin_ = data[begin:end], _number(zigzag) if zigzag else 0
        first, count = bin_ >> 1 ^ -(bin_ & 1), len(run) >> 3
        if len(run) & 7 or run[7::8].translate(None, _ORDINARY) or not -LARGEST_BIN <= first <= LARGEST_BIN - count:
            return False
        if zeros and not self._keep_zeros(_double.unpack(zeros)[0], group, sketch):
            return False
        if count:
            self._runs.append(run)
            self._starts.append(encode_key(group, sketch, first))
            self._lengths.append(count)
            self._waiting += count
            if self._waiting > _TOGETHER:
                self._look_at_runs()
        return True

    def _keep_zeros(self, zeros: float, group: int, sketch: int) -> bool:
        if not 0 <= zeros <= LARGEST_COUNT:
            return False
        if zeros:
            self._keys.append(encode_key(group, sketch, ZERO))
            self._counts.append(zeros)
        return True

    def _look_at_runs(self) -> None:
        if not self._runs:
            return
        counts = np.frombuffer(b"".join(self._runs), "<f8")
        lengths = np.array(self._lengths, np.int64)
        begins = np.array(self._starts, np.int64) - (lengths.cumsum() - lengths)
        used = np.flatnonzero(counts != 0)  # of booleans, no branch is guessed wrong
        keys = (np.repeat(begins, lengths) + np.arange(self._waiting)).astype(np.int64, copy=False)
        self._parts.append(Histograms(keys[used], counts[used].astype(np.float64)))
        self._runs, self._starts, self._lengths, self._waiting = [], [], [], 0


def _number(varint: bytes) -> int:
    if len(varint) == 2:  # most are
        return varint[0] & 0x7F | varint[1] << 7
    number = 0
    for byte in reversed(varint):
        number = number << 7 | byte & 0x7F
    return number
