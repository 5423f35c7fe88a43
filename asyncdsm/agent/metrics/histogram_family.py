"""A metric whose values are histograms, before it is written in one of the formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asyncdsm.agent.metrics.native_buckets import NativeHistogram


class LabeledHistogram(NamedTuple):
    """The values of the labels, the counts of the buckets, each without those below it, the sum; and the native one.

    `created` is when it began to count, in seconds since the epoch.
    """

    labels: Sequence[str]
    buckets: Sequence[float]
    sum: float
    native: NativeHistogram
    created: float


class HistogramFamily(NamedTuple):
    """A metric with all its histograms."""

    name: str
    text: str
    label_names: Sequence[str]
    histograms: Sequence[LabeledHistogram]
