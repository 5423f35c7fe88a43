"""Histograms in the text formats of Prometheus (exposition format 0.0.4) and OpenMetrics 1.0, which agree on them.

`prometheus-client` writes each line's labels again, which takes a third of a second for a thousand edges. Here the
labels of a histogram are written once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.utils import floatToGoString

from asyncdsm.agent.metrics.histogram_family import HistogramFamily
from asyncdsm.agent.metrics.histogram_totals import BOUNDS

_UPPER = (*(str(bound) for bound in BOUNDS), "+Inf")


def write_histograms(family: HistogramFamily) -> Iterator[str]:
    """Yield the lines of a metric. Labels without a value are left out, which says the same to Prometheus."""
    name = family.name
    yield f"# HELP {name} {family.text}\n# TYPE {name} histogram\n"
    for values, buckets, total, *_ in family.histograms:
        labels = ",".join(
            f'{label}="{_escape(value)}"' for label, value in zip(family.label_names, values, strict=True) if value
        )
        comma, counts = "," if labels else "", list(accumulate(buckets))
        for upper, count in zip(_UPPER, counts, strict=True):
            yield f'{name}_bucket{{{labels}{comma}le="{upper}"}} {count}\n'
        yield f"{name}_count{{{labels}}} {counts[-1]}\n"
        yield f"{name}_sum{{{labels}}} {floatToGoString(total)}\n"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
