"""The sketch of protocol §7: a histogram of `core.histogram`, encoded as the protobuf of the package `ddsketch`.

Only the protobuf comes from `ddsketch`. Its own mapping rounds up and starts at 0, so that an Agent would read every
value one bin, or 2 %, too high.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from ddsketch.pb import ddsketch_pb2
from google.protobuf.message import DecodeError

from asyncdsm.core.histogram import GAMMA, MAX_BINS, OFFSET, ZERO, bin_index, bin_value
from asyncdsm.errors import SketchError

_pb: Any = ddsketch_pb2  # protobuf creates its classes at run time, so type checkers do not know them
_WIRE_MAPPING = _pb.IndexMapping(gamma=GAMMA, indexOffset=OFFSET)
_LARGEST_BIN = 47_000  # its value is 1e307; that of a larger bin may be no finite number
_LARGEST_COUNT = 1e15
_INTERPOLATION_NONE = 0


class Sketch:
    """A histogram of values that are not negative. Quantiles are exact within 0.8 %, also those of merged sketches.

    The counts are in a dict. The store of `ddsketch` holds every bin between the lowest and the highest, and took 2.8
    times as long to read and merge sketches of 100 values.
    """

    __slots__ = ("_bins",)

    def __init__(self, bins: Mapping[int, float] | None = None) -> None:
        """Create a sketch of `{bin: count}`."""
        self._bins: dict[int, float] = dict(bins or {})

    def add_value(self, value: float, count: float = 1) -> None:
        """Count a value, in seconds or bytes, which must not be negative."""
        bin_ = bin_index(value)
        self._bins[bin_] = self._bins.get(bin_, 0.0) + count

    def merge(self, other: Sketch) -> None:
        """Add the counts of another sketch to this one."""
        bins = self._bins
        for bin_, count in other._bins.items():
            bins[bin_] = bins.get(bin_, 0.0) + count

    @property
    def count(self) -> float:
        """The number of values that were counted."""
        return sum(self._bins.values())

    def quantile(self, fraction: float) -> float | None:
        """Return the quantile at `fraction`, from 0 to 1; None if the sketch is empty."""
        rank, below = fraction * (self.count - 1), 0.0
        for bin_ in sorted(self._bins):
            below += self._bins[bin_]
            if below > rank:
                return bin_value(bin_)
        return bin_value(max(self._bins)) if self._bins else None

    def bins(self) -> dict[int, float]:
        """Return `{bin: count}` without empty bins; values of zero are in the bin `histogram.ZERO`."""
        return dict(self._bins)

    def encode(self) -> bytes:
        """Return the protobuf of the sketch."""
        return encode(self._bins)

    @classmethod
    def decode(cls, data: bytes) -> Sketch:
        """Decode a sketch from its protobuf, whichever tracer wrote it.

        Bins of another mapping are converted: the value of each bin decides where its count goes. Raises SketchError
        for anything but a sketch of values that are not negative.
        """
        try:
            message = _pb.DDSketch.FromString(data)
        except DecodeError as error:
            raise SketchError(f"not a DDSketch protobuf: {error}") from None
        return cls(_bins_of(message))


def encode(bins: Mapping[int, float]) -> bytes:
    """Return the protobuf of `{bin: count}`. If they span more than 2048 bins, the lowest ones are merged."""
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
        raise SketchError(
            f"at most {2 * _LARGEST_BIN} contiguous bins are allowed, got {len(positive.contiguousBinCounts)}"
        )
    counted = dict(enumerate(positive.contiguousBinCounts, positive.contiguousBinIndexOffset))
    for bin_, count in positive.binCounts.items():
        counted[bin_] = counted.get(bin_, 0.0) + count
    negative = message.negativeValues
    if negative.binCounts or any(negative.contiguousBinCounts):
        raise SketchError("latencies and sizes must not be negative, got counts of negative values")
    counts = {bin_: count for bin_, count in counted.items() if count}
    for bin_, count in [*counts.items(), (0, message.zeroCount)]:
        if not 0 <= count <= _LARGEST_COUNT:
            raise SketchError(f"the count of bin {bin_} must be from 0 to {_LARGEST_COUNT:g}, got {count}")
        if abs(bin_) > _LARGEST_BIN:
            raise SketchError(f"bins must be from -{_LARGEST_BIN} to {_LARGEST_BIN}, got {bin_}")
    bins = _convert_bins(counts, message.mapping)
    if message.zeroCount:
        bins[ZERO] = bins.get(ZERO, 0.0) + message.zeroCount
    return bins


def _convert_bins(counts: dict[int, float], mapping: Any) -> dict[int, float]:
    if not counts:  # without counts there may be no mapping, for example in an empty message
        return counts
    if mapping.gamma == GAMMA and mapping.indexOffset == OFFSET and mapping.interpolation == _INTERPOLATION_NONE:
        return counts
    if mapping.interpolation != _INTERPOLATION_NONE or not 1 < mapping.gamma < 2 or not isfinite(mapping.indexOffset):
        raise SketchError(
            "the mapping must have a gamma between 1 and 2, a finite offset and no interpolation, got gamma "
            f"{mapping.gamma}, offset {mapping.indexOffset}, interpolation {mapping.interpolation}"
        )
    gamma, bins = mapping.gamma, dict[int, float]()
    for foreign, count in counts.items():
        try:
            bin_ = bin_index(gamma ** (foreign - mapping.indexOffset) * 2 * gamma / (1 + gamma))
        except OverflowError:
            bin_ = _LARGEST_BIN + 1
        if bin_ > _LARGEST_BIN:
            raise SketchError(f"the value of bin {foreign} is too large")
        bins[bin_] = bins.get(bin_, 0.0) + count
    return bins
