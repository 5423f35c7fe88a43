"""The sketch of protocol §7, on the protobuf of PyPI `ddsketch`, with the mapping of `bins.py`, which floors.

`ddsketch` itself rounds up and starts at 0: read by an Agent, every value would come out one bin, 2 %, too high.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from ddsketch.pb import ddsketch_pb2
from google.protobuf.message import DecodeError

from asyncdsm.core.histogram import GAMMA, MAX_BINS, OFFSET, ZERO, bin_index, bin_value
from asyncdsm.errors import SketchError

_pb: Any = ddsketch_pb2  # made at run time: no type checker sees what is in it
_WIRE_MAPPING = _pb.IndexMapping(gamma=GAMMA, indexOffset=OFFSET)
_LARGEST_BIN = 47_000
"""Stands for 1e307; what is further would be no number any more."""
_LARGEST_COUNT = 1e15
_INTERPOLATION_NONE = 0


class Sketch:
    """Counts per bin of values that are not negative; quantiles are true within 0.8 %, over merged sketches too.

    Kept as a dict: ddsketch's own store holds every bin between the lowest and the highest, and took 2.8 times as long
    to read and merge sketches of 100 values.
    """

    __slots__ = ("_bins",)

    def __init__(self, bins: Mapping[int, float] | None = None) -> None:
        """Make a sketch of `{bin: count}`."""
        self._bins: dict[int, float] = dict(bins or {})

    def add(self, value: float, count: float = 1) -> None:
        """Count a value (seconds or bytes, not negative)."""
        bin_ = bin_index(value)
        self._bins[bin_] = self._bins.get(bin_, 0.0) + count

    def merge(self, other: Sketch) -> None:
        """Add to this sketch what `other` counted."""
        bins = self._bins
        for bin_, count in other._bins.items():
            bins[bin_] = bins.get(bin_, 0.0) + count

    @property
    def count(self) -> float:
        """How many values were counted."""
        return sum(self._bins.values())

    def quantile(self, fraction: float) -> float | None:
        """Return the value at `fraction` (0 to 1); None while the sketch is empty."""
        rank, below = fraction * (self.count - 1), 0.0
        for bin_ in sorted(self._bins):
            below += self._bins[bin_]
            if below > rank:
                return bin_value(bin_)
        return bin_value(max(self._bins)) if self._bins else None

    def bins(self) -> dict[int, float]:
        """Return `{bin: count}` of every bin that holds something; values of zero under `bins.ZERO`."""
        return dict(self._bins)

    def encode(self) -> bytes:
        """Return the protobuf of the sketch, with no empty bin at either end."""
        return encode(self._bins)

    @classmethod
    def decode(cls, data: bytes) -> Sketch:
        """Read a sketch from its protobuf, by whichever tracer it was written.

        A mapping other than ours is carried over by the value that stands for each bin.
        Raises SketchError for anything that is not a sketch of values that are not negative.
        """
        try:
            message = _pb.DDSketch.FromString(data)
        except DecodeError as error:
            raise SketchError(f"not a DDSketch protobuf: {error}") from None
        return cls(_bins_of(message))


def encode(bins: Mapping[int, float]) -> bytes:
    """Return the protobuf of `{bin: count}`: what a payload carries, made without a store in between."""
    keys = bins.keys() - {ZERO}
    lowest, highest = (min(keys), max(keys)) if keys else (0, -1)
    lowest, counts = max(lowest, highest - MAX_BINS + 1), [0.0] * min(highest - lowest + 1, MAX_BINS)
    for key in keys:
        counts[max(key - lowest, 0)] += bins[key]
    message = _pb.DDSketch(
        mapping=_WIRE_MAPPING,
        positiveValues=_pb.Store(contiguousBinCounts=counts, contiguousBinIndexOffset=lowest),
        negativeValues=_pb.Store(),
        zeroCount=bins.get(ZERO, 0.0),
    )
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def _bins_of(message: Any) -> dict[int, float]:
    positive = message.positiveValues
    if len(positive.contiguousBinCounts) > 2 * _LARGEST_BIN:
        raise SketchError(f"{len(positive.contiguousBinCounts)} bins in a row: that many there are not")
    counted = dict(enumerate(positive.contiguousBinCounts, positive.contiguousBinIndexOffset))
    for bin_, count in positive.binCounts.items():
        counted[bin_] = counted.get(bin_, 0.0) + count
    negative = message.negativeValues
    if negative.binCounts or any(negative.contiguousBinCounts):
        raise SketchError("negative values: a latency or a size is never below zero")
    counts = {bin_: count for bin_, count in counted.items() if count}
    for bin_, count in [*counts.items(), (0, message.zeroCount)]:
        if not 0 <= count <= _LARGEST_COUNT:
            raise SketchError(f"the count of bin {bin_} is {count}: it must be a number of values")
        if abs(bin_) > _LARGEST_BIN:
            raise SketchError(f"bin {bin_} is outside of ±{_LARGEST_BIN}")
    bins = _rebinned(counts, message.mapping)
    if message.zeroCount:
        bins[ZERO] = bins.get(ZERO, 0.0) + message.zeroCount
    return bins


def _rebinned(counts: dict[int, float], mapping: Any) -> dict[int, float]:
    if not counts:  # such as no bytes at all
        return counts
    if mapping.gamma == GAMMA and mapping.indexOffset == OFFSET and mapping.interpolation == _INTERPOLATION_NONE:
        return counts
    if mapping.interpolation != _INTERPOLATION_NONE or not 1 < mapping.gamma < 2 or not isfinite(mapping.indexOffset):
        raise SketchError(
            f"mapping with gamma {mapping.gamma}, offset {mapping.indexOffset}, interpolation {mapping.interpolation}"
        )
    gamma, bins = mapping.gamma, dict[int, float]()
    for foreign, count in counts.items():
        try:
            bin_ = bin_index(gamma ** (foreign - mapping.indexOffset) * 2 * gamma / (1 + gamma))
        except OverflowError:
            bin_ = _LARGEST_BIN + 1
        if bin_ > _LARGEST_BIN:
            raise SketchError(f"bin {foreign} stands for a number that is too large")
        bins[bin_] = bins.get(bin_, 0.0) + count
    return bins
