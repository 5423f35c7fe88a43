"""Sketches as they stand in payloads, read into cells: those of our own mapping without a message in between.

`Sketch.decode` makes an object of each, with a dict; a thousand payloads a second have 150,000 of them.
"""

from __future__ import annotations

from struct import Struct

import numpy as np

from asyncdsm.agent.cells import LARGEST_BIN, Cells, joined, key_of
from asyncdsm.bins import GAMMA, OFFSET, ZERO
from asyncdsm.sketch import Sketch

_MAPPING = b"\x0a\x12\x09" + Struct("<d").pack(GAMMA) + b"\x11" + Struct("<d").pack(OFFSET)
"""Field 1 of a DDSketch with the mapping of protocol §7; `interpolation` NONE is left out."""
_POSITIVE = _MAPPING + b"\x12"
_START = len(_POSITIVE)
_NO_NEGATIVE, _ZERO_COUNT = b"\x1a\x00", b"\x21"
_LARGEST_COUNT = 1e15
_ORDINARY = bytes(range(0x43))
_TOGETHER = 1 << 19
"""Bins that are looked at at once: 4 MiB of counts."""
_double = Struct("<d")


class Reader:
    """Reads sketches one by one, and gives out the cells of all of them."""

    def __init__(self) -> None:
        self._parts: list[Cells] = []
        self._keys: list[int] = []
        self._counts: list[float] = []
        self._runs: list[bytes] = []
        self._starts: list[int] = []
        self._lengths: list[int] = []
        self._waiting = 0

    def read(self, data: bytes, group: int, sketch: int) -> None:
        """Read one sketch of a group. Raises SketchError."""
        if data and not self._read_run(data, group, sketch):
            for bin_, count in Sketch.decode(data).bins().items():
                self._keys.append(key_of(group, sketch, bin_))
                self._counts.append(count)

    def cells(self) -> Cells:
        """Return everything read."""
        self._look_at_runs()
        self._parts.append(Cells(np.array(self._keys, np.int64), np.array(self._counts, np.float64)))
        self._keys, self._counts = [], []
        return joined(self._parts)

    def _read_run(self, data: bytes, group: int, sketch: int) -> bool:
        """Take a sketch that is one run of counts in our mapping, as most are; False for all others.

        The sign and most of the exponent of a double are in its last byte: counts below 0, not numbers or above
        2^49 are left to `Sketch.decode`, which says what is wrong.
        """
        if not data.startswith(_POSITIVE):
            return False
        try:
            run, first, end = _run(data)
        except (IndexError, ValueError):
            return False
        rest, zeros = data[end:].removeprefix(_NO_NEGATIVE), 0.0
        if rest:
            if len(rest) != 9 or not rest.startswith(_ZERO_COUNT):
                return False
            zeros = _double.unpack_from(rest, 1)[0]
        count = len(run) >> 3
        within = first >= -LARGEST_BIN and first + count <= LARGEST_BIN
        if len(run) & 7 or run[7::8].translate(None, _ORDINARY) or not (within and 0 <= zeros <= _LARGEST_COUNT):
            return False
        if zeros:
            self._keys.append(key_of(group, sketch, ZERO))
            self._counts.append(zeros)
        if count:
            self._runs.append(run)
            self._starts.append(key_of(group, sketch, first))
            self._lengths.append(count)
            self._waiting += count
            if self._waiting > _TOGETHER:
                self._look_at_runs()
        return True

    def _look_at_runs(self) -> None:
        if not self._runs:
            return
        counts = np.frombuffer(b"".join(self._runs), "<f8")
        lengths = np.array(self._lengths, np.int64)
        begins = np.array(self._starts, np.int64) - (lengths.cumsum() - lengths)
        used = np.flatnonzero(counts)
        keys = (np.repeat(begins, lengths) + np.arange(self._waiting)).astype(np.int64, copy=False)
        self._parts.append(Cells(keys[used], counts[used].astype(np.float64)))
        self._runs, self._starts, self._lengths, self._waiting = [], [], [], 0


def _run(data: bytes) -> tuple[bytes, int, int]:
    """Return the positive values: counts, the first one's bin, where they end. Raises ValueError, IndexError."""
    length, at = _varint(data, _START)
    end = at + length
    run, first = b"", 0
    if length:
        if data[at] != 0x12:  # contiguousBinCounts, packed
            raise ValueError
        size, at = _varint(data, at + 1)
        run, at = data[at : at + size], at + size
        if at < end:
            if data[at] != 0x18:  # contiguousBinIndexOffset
                raise ValueError
            zigzag, at = _varint(data, at + 1)
            first = zigzag >> 1 ^ -(zigzag & 1)
    if at != end or end > len(data):
        raise ValueError
    return run, first, end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at`, and where it ends. Raises IndexError, ValueError."""
    byte = data[at]
    at += 1
    number, shift = byte & 0x7F, 7
    while byte & 0x80:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 63:
            raise ValueError
    return number, at
