"""Decodes DDSketch protobufs of any tracer, and converts their bins to the mapping of asyncdsm (protocol §7)."""

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
"""All bins that exist, each with its own count, take 1.3 MB."""
LARGEST_COUNT = 1e15
_INTERPOLATION_NONE = 0
_LOG_MIN_POSITIVE = log(MIN_POSITIVE)
_NO_BINS, _NO_COUNTS = np.empty(0, np.int64), np.empty(0, np.float64)

_pb: Any = ddsketch_pb2  # its classes are made at run time, so that type checkers do not see them


class DecodedSketch(NamedTuple):
    """The counts of a sketch by bins of asyncdsm's mapping. `negatives` of the `zeros` were values below zero."""

    bins: Ints
    counts: Floats
    zeros: float
    negatives: float


def decode_sketch(data: bytes, *, rounds_up: bool = False) -> DecodedSketch:
    """Decode a sketch of any tracer. Values below zero are counted as zeros.

    `rounds_up` says that the writer of the sketch rounds a value up to the next bin, where asyncdsm rounds down. It is
    ignored if the offset of the mapping is not 0: writers that round up leave it at 0.
    Raises SketchError if the bytes are no sketch, or if it has impossible counts or bins.
    """
    if len(data) > MAX_SKETCH_BYTES:
        raise SketchError(f"has {len(data)} bytes; at most {MAX_SKETCH_BYTES} are allowed")
    try:
        message = _pb.DDSketch.FromString(data)
    except DecodeError as error:
        raise SketchError(f"is not a DDSketch protobuf: {error}") from None
    bins, counts = _read_store(message.positiveValues)
    _, negative = _read_store(message.negativeValues)
    zeros, negatives = float(message.zeroCount), float(negative.sum())
    if not 0 <= zeros <= LARGEST_COUNT:
        raise SketchError(f"the count of zeros must be from 0 to {LARGEST_COUNT:g}, got {zeros}")
    values, underflow = _rebin(bins, counts, message.mapping, rounds_up)
    return DecodedSketch(*values, zeros + negatives + underflow, negatives)


def _read_store(store: Any) -> tuple[Ints, Floats]:
    """Return the bins of a store that are not empty, and their counts. Raises SketchError."""
    if not store.contiguousBinCounts and not store.binCounts:  # most stores of negative values
        return _NO_BINS, _NO_COUNTS
    counts = np.array(store.contiguousBinCounts, np.float64)
    if len(counts) > 2 * LARGEST_BIN:
        raise SketchError(f"has {len(counts)} bins in a row; at most {2 * LARGEST_BIN} are allowed")
    bins = counts.nonzero()[0]  # NaN is not zero
    counts = counts[bins]
    bins += store.contiguousBinIndexOffset
    if store.binCounts:
        sparse = np.array([*store.binCounts.values()], np.float64)
        used = sparse.nonzero()[0]
        bins = np.concatenate([bins, np.array([*store.binCounts.keys()], np.int64)[used]])
        counts = np.concatenate([counts, sparse[used]])
    check_counts(bins, counts)
    return bins, counts


def check_counts(bins: Ints, counts: Floats) -> None:
    """Raise SketchError if a count or a bin is out of range."""
    if not len(bins):
        return
    if not (counts.min() > 0 and counts.max() <= LARGEST_COUNT):  # NaN is not allowed either
        wrong = np.flatnonzero(~((counts > 0) & (counts <= LARGEST_COUNT)))[0]
        raise SketchError(
            f"the count of bin {bins[wrong]} must be above 0 and at most {LARGEST_COUNT:g}, got {counts[wrong]}"
        )
    if bins.min() < -LARGEST_BIN or bins.max() > LARGEST_BIN:
        wrong = np.flatnonzero(np.abs(bins) > LARGEST_BIN)[0]
        raise SketchError(f"bin {bins[wrong]} is outside of ±{LARGEST_BIN}")


def _rebin(bins: Ints, counts: Floats, mapping: Any, rounds_up: bool) -> tuple[tuple[Ints, Floats], float]:
    """Return bins of asyncdsm's mapping with their counts, and how many values are too small for any bin.

    A bin of another mapping becomes the bin of its middle value. Raises SketchError.
    """
    gamma, offset = float(mapping.gamma), float(mapping.indexOffset)
    plain = mapping.interpolation == _INTERPOLATION_NONE
    if not len(bins) or (plain and (gamma, offset) == (GAMMA, OFFSET)):
        return (bins, counts), 0.0
    if not (plain and 1 < gamma < 2 and isfinite(offset)):
        raise SketchError(
            f"has an unknown mapping with gamma {gamma}, offset {offset}, interpolation {mapping.interpolation}"
        )
    above = int(rounds_up and offset == 0)
    with np.errstate(over="ignore"):
        log_values = (bins - above - offset) * log(gamma) + log(2 * gamma / (1 + gamma))
        converted = np.floor(log_values * MULTIPLIER + OFFSET)
    if converted.max() > LARGEST_BIN:
        raise SketchError(f"bin {bins[converted.argmax()]} is for a number that is too large")
    if log_values.min() >= _LOG_MIN_POSITIVE:
        return (converted.astype(np.int64), counts), 0.0
    small = log_values < _LOG_MIN_POSITIVE
    return (converted[~small].astype(np.int64), counts[~small]), float(counts[small].sum())
