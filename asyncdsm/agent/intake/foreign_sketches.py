"""DDSketch protobufs of any mapping, decoded into the bins of asyncdsm's. Only what is no sketch is an error."""

from __future__ import annotations

from math import isfinite, log
from typing import Any, NamedTuple

import numpy as np
from ddsketch.pb import ddsketch_pb2
from google.protobuf.message import DecodeError

from asyncdsm.agent.store.histograms import LARGEST_BIN, Floats, Ints
from asyncdsm.core.histogram import GAMMA, MIN_POSITIVE, MULTIPLIER, OFFSET
from asyncdsm.errors import SketchError

MAX_SKETCH_BYTES = 2 << 20
"""Every bin there is, each with a count of its own, takes 1.3 MB."""
LARGEST_COUNT = 1e15
_INTERPOLATION_NONE = 0
_LOG_MIN_POSITIVE = log(MIN_POSITIVE)
_NO_BINS, _NO_COUNTS = np.empty(0, np.int64), np.empty(0, np.float64)

_pb: Any = ddsketch_pb2  # made at run time: no type checker sees what is in it


class Decoded(NamedTuple):
    """The counts of a sketch by the bins of our mapping. `negatives` of the `zeros` were values below zero."""

    bins: Ints
    counts: Floats
    zeros: float
    negatives: float


def decode_sketch(data: bytes, *, rounds_up: bool = False) -> Decoded:
    """Decode a sketch by whichever tracer. Values below zero are counted as zeros.

    `rounds_up` says that its writer puts a value into the bin above where our mapping takes the one below, as libraries
    do that leave the mapping's offset at 0. It is ignored for other offsets.
    Raises SketchError for bytes that are no sketch, and for counts and bins that cannot be.
    """
    if len(data) > MAX_SKETCH_BYTES:
        raise SketchError(f"{len(data)} bytes; at most {MAX_SKETCH_BYTES} are taken")
    try:
        message = _pb.DDSketch.FromString(data)
    except DecodeError as error:
        raise SketchError(f"not a DDSketch protobuf: {error}") from None
    bins, counts = _store(message.positiveValues)
    _, negative = _store(message.negativeValues)
    zeros, negatives = float(message.zeroCount), float(negative.sum())
    if not 0 <= zeros <= LARGEST_COUNT:
        raise SketchError(f"the count of zeros is {zeros}: it must be a number of values")
    values, underflow = _rebin(bins, counts, message.mapping, rounds_up)
    return Decoded(*values, zeros + negatives + underflow, negatives)


def _store(store: Any) -> tuple[Ints, Floats]:
    """Return the bins of a store that count something. Raises SketchError."""
    if not store.contiguousBinCounts and not store.binCounts:  # most stores of negative values
        return _NO_BINS, _NO_COUNTS
    counts = np.array(store.contiguousBinCounts, np.float64)
    if len(counts) > 2 * LARGEST_BIN:
        raise SketchError(f"{len(counts)} bins in a row: that many there are not")
    bins = counts.nonzero()[0]  # NaN is not zero
    counts = counts[bins]
    bins += store.contiguousBinIndexOffset
    if store.binCounts:
        sparse = np.array([*store.binCounts.values()], np.float64)
        used = sparse.nonzero()[0]
        bins = np.concatenate([bins, np.array([*store.binCounts.keys()], np.int64)[used]])
        counts = np.concatenate([counts, sparse[used]])
    _check(bins, counts)
    return bins, counts


def _check(bins: Ints, counts: Floats) -> None:
    if not len(bins):
        return
    if not (counts.min() > 0 and counts.max() <= LARGEST_COUNT):  # false for NaN, too
        wrong = np.flatnonzero(~((counts > 0) & (counts <= LARGEST_COUNT)))[0]
        raise SketchError(f"the count of bin {bins[wrong]} is {counts[wrong]}: it must be a number of values")
    if bins.min() < -LARGEST_BIN or bins.max() > LARGEST_BIN:
        wrong = np.flatnonzero(np.abs(bins) > LARGEST_BIN)[0]
        raise SketchError(f"bin {bins[wrong]} is outside of ±{LARGEST_BIN}")


def _rebin(bins: Ints, counts: Floats, mapping: Any, rounds_up: bool) -> tuple[tuple[Ints, Floats], float]:
    """Return bins of our mapping and their counts; and how many values are too small for any bin.

    A bin of another mapping is carried over by the value that stands for it. Raises SketchError.
    """
    gamma, offset = float(mapping.gamma), float(mapping.indexOffset)
    plain = mapping.interpolation == _INTERPOLATION_NONE
    if not len(bins) or (plain and (gamma, offset) == (GAMMA, OFFSET)):
        return (bins, counts), 0.0
    if not (plain and 1 < gamma < 2 and isfinite(offset)):
        raise SketchError(f"mapping with gamma {gamma}, offset {offset}, interpolation {mapping.interpolation}")
    above = int(rounds_up and offset == 0)
    with np.errstate(over="ignore"):
        log_values = (bins - above - offset) * log(gamma) + log(2 * gamma / (1 + gamma))
        ours = np.floor(log_values * MULTIPLIER + OFFSET)
    if ours.max() > LARGEST_BIN:
        raise SketchError(f"bin {bins[ours.argmax()]} stands for a number that is too large")
    if log_values.min() >= _LOG_MIN_POSITIVE:
        return (ours.astype(np.int64), counts), 0.0
    small = log_values < _LOG_MIN_POSITIVE
    return (ours[~small].astype(np.int64), counts[~small]), float(counts[small].sum())
