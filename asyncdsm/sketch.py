"""The sketch of protocol §7, on PyPI `ddsketch`: its stores, merging and protobuf, with a mapping that floors.

`ddsketch` itself rounds up and starts at 0: read by an Agent, every value would come out one bin, 2 %, too high.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ddsketch.ddsketch import BaseDDSketch
from ddsketch.mapping import LogarithmicMapping
from ddsketch.pb import ddsketch_pb2
from ddsketch.store import CollapsingLowestDenseStore
from google.protobuf.message import DecodeError

from asyncdsm.bins import GAMMA, MAX_BINS, OFFSET, ZERO, bin_of, value_of

_pb: Any = ddsketch_pb2  # made at run time: no type checker sees what is in it
_WIRE_MAPPING = _pb.IndexMapping(gamma=GAMMA, indexOffset=OFFSET)
_LARGEST_BIN = 47_000
"""Stands for 1e307; what is further would be no number any more."""
_LARGEST_COUNT = 1e15
_INTERPOLATION_NONE = 0


class SketchError(ValueError):
    """Bytes that are not a sketch this library can read; the text says what was wrong."""


class _FloorMapping(LogarithmicMapping):
    def __init__(self) -> None:
        super().__init__((GAMMA - 1) / (GAMMA + 1), offset=OFFSET)

    def key(self, value: float) -> int:
        return bin_of(value)

    def value(self, key: int) -> float:
        return value_of(key)


_MAPPING = _FloorMapping()


class Sketch:
    """Counts per bin of values that are not negative; quantiles are true within 0.8 %, over merged sketches too."""

    __slots__ = ("_sketch",)

    def __init__(self, bins: Mapping[int, float] | None = None) -> None:
        """Make a sketch of `{bin: count}`. Beyond 2048 bins the lowest collapse."""
        store, zero = CollapsingLowestDenseStore(MAX_BINS), 0.0
        for bin_, count in (bins or {}).items():
            if bin_ == ZERO:
                zero += count
            else:
                store.add(bin_, count)
        self._sketch = BaseDDSketch(_MAPPING, store, CollapsingLowestDenseStore(MAX_BINS), zero)

    def add(self, value: float, count: float = 1) -> None:
        """Count a value (seconds or bytes, not negative)."""
        self._sketch.add(value, count)

    def merge(self, other: Sketch) -> None:
        """Add to this sketch what `other` counted."""
        self._sketch.merge(other._sketch)

    @property
    def count(self) -> float:
        """How many values were counted."""
        return float(self._sketch.count)

    def quantile(self, fraction: float) -> float | None:
        """Return the value at `fraction` (0 to 1); None while the sketch is empty."""
        value = self._sketch.get_quantile_value(fraction)
        return None if value is None else float(value)

    def bins(self) -> dict[int, float]:
        """Return `{bin: count}` of every bin that holds something; values of zero under `bins.ZERO`."""
        store, zero = self._sketch._store, self._sketch._zero_count
        counted = {store.offset + index: count for index, count in enumerate(store.bins) if count}
        return {ZERO: zero, **counted} if zero else counted

    def encode(self) -> bytes:
        """Return the protobuf of the sketch, with no empty bin at either end."""
        return encode(self.bins())

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
    if mapping.gamma == GAMMA and mapping.indexOffset == OFFSET and mapping.interpolation == _INTERPOLATION_NONE:
        return counts
    if mapping.interpolation != _INTERPOLATION_NONE or not 1 < mapping.gamma < 2:
        raise SketchError(f"mapping with gamma {mapping.gamma} and interpolation {mapping.interpolation}")
    gamma, bins = mapping.gamma, dict[int, float]()
    for foreign, count in counts.items():
        try:
            bin_ = bin_of(gamma ** (foreign - mapping.indexOffset) * 2 * gamma / (1 + gamma))
        except OverflowError:
            raise SketchError(f"bin {foreign} stands for a number that is too large") from None
        bins[bin_] = bins.get(bin_, 0.0) + count
    return bins
