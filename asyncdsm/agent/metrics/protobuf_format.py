"""All metrics in the protobuf format of Prometheus, the one that it takes native histograms in.

A histogram has both: the buckets of a classic one, and those of a native one. What counts says since when, so that
Prometheus can know that it began at zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
from prometheus_client.core import Metric

from asyncdsm.agent.metrics.histogram_family import HistogramFamily, LabeledHistogram
from asyncdsm.agent.metrics.histogram_totals import BOUNDS
from asyncdsm.agent.metrics.native_buckets import ZERO_THRESHOLD, NativeHistogram
from asyncdsm.agent.metrics.protobuf_schema import COUNTER, GAUGE, HISTOGRAM, SUMMARY, MetricFamily
from asyncdsm.agent.store.histograms import Floats, Ints

MOST_BUCKETS = 320
"""A native histogram with more buckets is written at a coarser scale."""
_LARGEST = 2.0**62
_TYPES = {"counter": COUNTER, "gauge": GAUGE, "summary": SUMMARY}


def write_delimited(families: Iterable[Metric], histograms: Iterable[HistogramFamily], started: float) -> bytes:
    """Return the metrics as messages `MetricFamily`, each after its length.

    `started` is since when those count that do not say it themselves, in seconds since the epoch.
    """
    messages = [*(_encode_family(family, started) for family in families), *map(_encode_histograms, histograms)]
    return b"".join(part for message in messages for part in (_encode_length(len(message)), message))


def _encode_family(family: Metric, started: float) -> bytes:
    name = family.name + ("_total" if family.type == "counter" else "")
    message = MetricFamily(name=name, help=family.documentation, type=_TYPES[family.type])
    value: Any = None
    for sample in family.samples:
        if sample.name.endswith("_created"):  # it comes after the value that it is about
            _set_created(value, sample.value)
        elif sample.name == f"{family.name}_sum":
            value.sample_sum = sample.value  # likewise
        else:
            value = getattr(_add_metric(message, sample.labels), family.type)
            _fill_value(value, family.type, sample.value, started)
    return _serialize(message)


def _fill_value(message: Any, type_: str, value: float, started: float) -> None:
    if type_ == "summary":
        message.sample_count = round(value)
    else:
        message.value = value
    if type_ != "gauge":
        _set_created(message, started)


def _set_created(message: Any, at: float) -> None:
    """Set since when a value has been counted, in seconds since the epoch."""
    nanoseconds = round(at * 1e9)
    message.created_timestamp.seconds, message.created_timestamp.nanos = divmod(nanoseconds, 10**9)


def _encode_histograms(family: HistogramFamily) -> bytes:
    message = MetricFamily(name=family.name, help=family.text, type=HISTOGRAM)
    for each in family.histograms:
        metric = _add_metric(message, dict(zip(family.label_names, each.labels, strict=True)))
        _fill_histogram(metric.histogram, each)
    return _serialize(message)


def _add_metric(family: Any, labels: Mapping[str, str]) -> Any:
    """Add a metric to a family, and return it. Labels without a value are left out."""
    metric = family.metric.add()
    for name, value in labels.items():
        if value:
            metric.label.add(name=name, value=value)
    return metric


def _fill_histogram(message: Any, histogram: LabeledHistogram) -> None:
    native = histogram.native
    while len(native.indexes) > MOST_BUCKETS:
        native = native.coarser()
    below = _whole_sums(np.concatenate([[native.zeros], native.counts]))
    count = int(below[-1])
    message.sample_count, message.sample_sum = count, histogram.sum
    _set_created(message, histogram.created)
    for bound, counted in zip(BOUNDS, accumulate(histogram.buckets), strict=False):
        message.bucket.add(cumulative_count=min(count, round(counted)), upper_bound=bound)
    message.schema, message.zero_threshold, message.zero_count = native.scale, ZERO_THRESHOLD, int(below[0])
    message.positive_delta.extend(_differences(_differences(below)[1:]).tolist())
    for offset, length in _spans(native):
        message.positive_span.add(offset=offset, length=length)


def _whole_sums(counts: Floats) -> Ints:
    """Return the running sums of counts, which need not be whole numbers, as whole numbers."""
    sums: Ints = np.rint(np.minimum(np.cumsum(counts), _LARGEST)).astype(np.int64)
    return sums


def _spans(native: NativeHistogram) -> Iterator[tuple[int, int]]:
    """Yield the runs of buckets without a gap: how many empty buckets come before each, and how long it is.

    Before the first one, that is the index of its first bucket.
    """
    indexes = native.indexes
    if not len(indexes):
        return
    first = np.concatenate([[0], np.flatnonzero(indexes[1:] != indexes[:-1] + 1) + 1])
    before = np.concatenate([[0], indexes[first[1:] - 1] + 1])
    lengths = _differences(np.append(first, len(indexes)))[1:]
    yield from zip((indexes[first] - before).tolist(), lengths.tolist(), strict=True)


def _differences(numbers: Ints) -> Ints:
    """Return the first number, and the difference of each other one to the one before it."""
    found = numbers.copy()
    found[1:] -= numbers[:-1]  # a fifth of the time that `np.diff` takes for so few
    return found


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _encode_length(length: int) -> bytes:
    """Return a length as protobuf's varint."""
    encoded = bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
