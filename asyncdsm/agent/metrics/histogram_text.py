"""Histograms in the text format of Prometheus (exposition format 0.0.4).

`prometheus-client` writes each line's labels again, which takes a third of a second for a thousand edges. Here the
labels of a histogram are written once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from prometheus_client.utils import floatToGoString

from asyncdsm.agent.metrics.histogram_totals import BOUNDS

_UPPER = (*(str(bound) for bound in BOUNDS), "+Inf")


class LabeledHistogram(NamedTuple):
    """The values of the labels, the counts of the buckets, each without those below it, and the sum."""

    labels: Sequence[str]
    buckets: Sequence[float]
    sum: float


def write_histograms(
    name: str, text: str, label_names: Sequence[str], histograms: Iterable[LabeledHistogram]
) -> Iterator[str]:
    """Yield the lines of a metric. Labels without a value are left out, which says the same to Prometheus."""
    yield f"# HELP {name} {text}\n# TYPE {name} histogram\n"
    for values, buckets, total in histograms:
        labels = ",".join(
            f'{label}="{_escape(value)}"' for label, value in zip(label_names, values, strict=True) if value
        )
        comma, counts = "," if labels else "", list(accumulate(buckets))
        for upper, count in zip(_UPPER, counts, strict=True):
            yield f'{name}_bucket{{{labels}{comma}le="{upper}"}} {count}\n'
        yield f"{name}_count{{{labels}}} {counts[-1]}\n"
        yield f"{name}_sum{{{labels}}} {floatToGoString(total)}\n"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
